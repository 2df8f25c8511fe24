//! Normalization of each example on its own: over a layer, over each channel, or over groups of channels.
//!
//! Unlike batch normalization, these layers do not depend on the other examples of a batch: they compute the same in training and in
//! evaluation, and have no running means to update.

use super::known_size;
use crate::array::{Index, concat, constant, reshape, shape, strided_slice};
use crate::composite::Composite;
use crate::initializers::{Initializer, ones, zeros};
use crate::keep_dims;
use crate::nn::{DataFormat, batch_normalization, moments};
use crate::variables::VariableBuilder;
use session_core::{AsOutput, Error, Output, Variable};

/// Options of [`layer_norm`], [`instance_norm`] and [`group_norm`].
///
/// ```
/// use ops::layers::NormOptions;
/// let options = NormOptions::default().epsilon(1e-5).scale(false);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct NormOptions {
    center: bool,
    scale: bool,
    epsilon: Option<f64>,
    trainable: bool,
    begin_norm_axis: i64,
    begin_params_axis: i64,
    data_format: DataFormat,
    activation: Option<fn(&Output) -> Output>,
}

impl Default for NormOptions {
    fn default() -> NormOptions {
        NormOptions {
            center: true,
            scale: true,
            epsilon: None,
            trainable: true,
            begin_norm_axis: 1,
            begin_params_axis: -1,
            data_format: DataFormat::Nhwc,
            activation: None,
        }
    }
}

impl NormOptions {
    /// Sets whether the layer adds a learned offset, the variable `beta`. Default: true.
    #[must_use]
    pub fn center(mut self, center: bool) -> Self {
        self.center = center;
        self
    }

    /// Sets whether the layer multiplies by a learned scale, the variable `gamma`. Default: true.
    #[must_use]
    pub fn scale(mut self, scale: bool) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the number that is added to the variance. Default: 1e-12 in [`layer_norm`] (1e-3 for 16-bit floats), 1e-6 in the others.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = Some(epsilon);
        self
    }

    /// Sets whether optimizers train the offset and the scale. Default: true.
    #[must_use]
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Sets the first of the axes over which [`layer_norm`] normalizes. Negative axes count from the end. Default: 1.
    #[must_use]
    pub fn begin_norm_axis(mut self, axis: i64) -> Self {
        self.begin_norm_axis = axis;
        self
    }

    /// Sets the first of the axes along which [`layer_norm`] has an offset and a scale for each position. Default: the last axis.
    #[must_use]
    pub fn begin_params_axis(mut self, axis: i64) -> Self {
        self.begin_params_axis = axis;
        self
    }

    /// Sets the order of the axes in [`instance_norm`] and [`group_norm`]. Default: [`DataFormat::Nhwc`], channels last.
    #[must_use]
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// Sets the function that is applied to the result, such as `|x| relu(x)`. Default: none.
    #[must_use]
    pub fn activation(mut self, activation: fn(&Output) -> Output) -> Self {
        self.activation = Some(activation);
        self
    }

    /// Makes offset and scale of this shape.
    fn parameters(&self, scope: &Composite, inputs: &Output, sizes: &[usize]) -> [Option<Variable>; 2] {
        let make = |name: &str, initializer: &dyn Initializer| {
            let builder = VariableBuilder::new(scope.graph()).scoped_name(name).trainable(self.trainable);
            builder.initializer(sizes, inputs.dtype(), initializer).build()
        };
        let (center, scale) = (self.center, self.scale);
        // `gamma` starts at 1 and `beta` at 0, so that the layer at first only normalizes.
        [center.then(|| make("beta", &zeros())), scale.then(|| make("gamma", &ones()))]
    }

    fn finish(&self, scope: &Composite, result: Output) -> Output {
        let activated = self.activation.map(|activation| activation(&scope.enter(&result)));
        scope.leave(activated.unwrap_or(result))
    }
}

/// Brings the numbers of each example to mean 0 and variance 1, over all axes from `begin_norm_axis` on, then multiplies by `gamma`
/// and adds `beta`. Its scope is `LayerNorm`.
///
/// ```
/// use ops::layers::{NormOptions, layer_norm};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(6), Some(8)]);
/// let y = layer_norm(&x, &NormOptions::default().begin_norm_axis(-1)); // each of the 6 places by itself
/// assert_eq!(y.shape().to_string(), "[?,6,8]");
/// assert!(graph.operation("LayerNorm/gamma").is_ok());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn layer_norm(inputs: impl AsOutput, options: &NormOptions) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "LayerNorm");
    let rank = inputs.shape().rank().unwrap_or(0);
    let axis = |axis: i64| usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok();
    let (norm, params) = (axis(options.begin_norm_axis), axis(options.begin_params_axis));
    let sizes =
        params.filter(|&first| first < rank).and_then(|first| inputs.shape().range(first, rank).to_shape());
    let (Some(norm), Some(sizes)) = (norm.filter(|&first| first < rank), sizes) else {
        let (name, shape) = (inputs.name(), inputs.shape());
        let (first, from) = (options.begin_norm_axis, options.begin_params_axis);
        let text = format!(
            "layer_norm of '{name}' of shape {shape} over the axes from {first}, with parameters for those from {from}: \
             it has no such axes of known sizes"
        );
        scope.graph().add_error(Error::value(text));
        return scope.leave(inputs.clone());
    };
    let [beta, gamma] = options.parameters(&scope, inputs, sizes.dims());
    let inputs = scope.enter(inputs);
    let (mean, variance) = moments(&inputs, keep_dims((norm as i64..rank as i64).collect::<Vec<i64>>()));
    // Half precision rounds 1e-12 to 0, which would not keep a variance of 0 from dividing by 0.
    let narrow = inputs.dtype().size() == 2;
    let epsilon = options.epsilon.unwrap_or(if narrow { 1e-3 } else { 1e-12 });
    let [beta, gamma] = [&beta, &gamma].map(|variable| variable.as_ref().map(AsOutput::as_output));
    let result = batch_normalization(&inputs, &mean, &variance, beta, gamma, epsilon);
    options.finish(&scope, result)
}

/// Normalizes each channel of each image to mean 0 and variance 1, then multiplies by `gamma` and adds `beta`. The variables are in
/// the scope `InstanceNorm`. Sequences and volumes are normalized in the same way.
///
/// ```
/// use ops::layers::{NormOptions, instance_norm};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = ops::array::placeholder(&graph, DType::Float32, [None, Some(28), Some(28), Some(3)]);
/// let y = instance_norm(&images, &NormOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,28,28,3]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn instance_norm(inputs: impl AsOutput, options: &NormOptions) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "InstanceNorm");
    normed_in_groups(&scope, inputs, None, options)
}

/// Brings each of `groups` groups of neighboring channels of each image to mean 0 and variance 1, then multiplies by `gamma` and adds
/// `beta`, one of each for a channel. Its scope is `GroupNorm`. Sequences and volumes work likewise.
///
/// ```
/// use ops::layers::{NormOptions, group_norm};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(8), Some(8), Some(64)]);
/// let y = group_norm(&x, 32, &NormOptions::default());
/// assert_eq!(y.shape().to_string(), "[?,8,8,64]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn group_norm(inputs: impl AsOutput, groups: usize, options: &NormOptions) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "GroupNorm");
    normed_in_groups(&scope, inputs, Some(groups), options)
}

/// Normalizes over the axes of space, and in groups over the channels of each.
fn normed_in_groups(
    scope: &Composite,
    inputs: &Output,
    groups: Option<usize>,
    options: &NormOptions,
) -> Output {
    let rank = inputs.shape().rank().unwrap_or(0);
    let channels = known_size(scope, inputs, options.data_format.channels_from_end(rank));
    let problem = if rank < 3 {
        Some("it has no axes of space that are known".to_owned())
    } else {
        groups.filter(|&groups| groups == 0 || !channels.is_multiple_of(groups)).map(|groups| {
            format!("its {channels} channels cannot be divided into {groups} groups of equal size")
        })
    };
    if let Some(problem) = problem {
        let (name, shape) = (inputs.name(), inputs.shape());
        let text = format!("normalization of '{name}' of shape {shape}: {problem}");
        scope.graph().add_error(Error::value(text));
        return scope.leave(inputs.clone());
    }
    let [beta, gamma] = options.parameters(scope, inputs, &[channels]);
    let inputs = scope.enter(inputs);
    let epsilon = options.epsilon.unwrap_or(1e-6);
    let last = options.data_format == DataFormat::Nhwc;
    // One group per channel needs no other shape.
    let split = groups.map(|groups| [groups as i64, (channels / groups) as i64]);
    let (x, axes) = match split {
        Some(split) => {
            let at = if last { rank - 1 } else { 1 };
            // Channels become two axes, the groups and the channels of each.
            let shaped = reshape(&inputs, sizes_with(&inputs, at, &split));
            let axes: Vec<i64> = (1..=rank as i64).filter(|&axis| axis != at as i64).collect();
            (shaped, axes)
        }
        None => {
            let first = options.data_format.first_spatial();
            (inputs.clone(), (first..first + rank as i64 - 2).collect())
        }
    };
    let (mean, variance) = moments(&x, keep_dims(axes));
    // The shape in which one number per channel stands for all of space.
    let mut wide = vec![1i64; rank + usize::from(split.is_some())];
    let at = if last { rank - 1 } else { 1 };
    match split {
        Some([groups, each]) => wide[at..at + 2].copy_from_slice(&[groups, each]),
        None => wide[at] = channels as i64,
    }
    let shaped = |variable: &Option<Variable>| Some(reshape(variable.as_ref()?, wide.clone()));
    let (beta, gamma) = (shaped(&beta), shaped(&gamma));
    let result = batch_normalization(&x, &mean, &variance, beta.as_ref(), gamma.as_ref(), epsilon);
    let result = match split {
        Some(_) => reshape(result, crate::gradients::broadcasting::shape_of(&inputs)),
        None => result,
    };
    options.finish(scope, result)
}

/// Returns the sizes of a tensor with others in place of one of them.
fn sizes_with(inputs: &Output, at: usize, sizes: &[i64]) -> crate::Ints {
    let known = inputs.shape().sizes().unwrap_or_default();
    let (before, after) = (&known[..at], &known[at + 1..]);
    // One unknown size may stay -1; reshaping works it out from the number of elements.
    if before.iter().chain(after).filter(|&&size| size < 0).count() <= 1 {
        return crate::Ints::Vector([before, sizes, after].concat());
    }
    let computed = shape(inputs);
    let sizes: Vec<i32> = sizes.iter().map(|&size| i32::try_from(size).unwrap_or(i32::MAX)).collect();
    let parts = [
        strided_slice(&computed, &[Index::from(..at as i64)]),
        constant(&inputs.graph(), sizes),
        strided_slice(&computed, &[Index::from(at as i64 + 1..)]),
    ];
    concat(&parts, 0).into()
}
