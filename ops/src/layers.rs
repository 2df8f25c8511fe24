//! Layers: operations with the variables they need, under the names of `tf.layers`.
//!
//! ```
//! use ops::layers::{LayerOptions, dense};
//! use ops::nn::relu;
//! # use session_core::{DType, Graph};
//! # let graph = Graph::new();
//! # let x = ops::array::placeholder(&graph, DType::Float32, [None, Some(64)]);
//! let hidden = dense(&x, 128, &LayerOptions::default().activation(|x| relu(x))); // dense/kernel, dense/bias
//! let logits = dense(hidden.named("logits"), 10, &LayerOptions::default()); // logits/kernel, logits/bias
//! assert_eq!(logits.shape().to_string(), "[?,10]");
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! A layer's scope is named by its first argument's handle, or after the layer, and made unique.
//!
//! # Evaluation
//!
//! Dropout and batch normalization compute something else in training than in evaluation. An evaluation needs the
//! same variables under another flag, in one of two ways. Either the model is built twice within a [variable
//! scope](session_core::Graph::variable_scope), once for each:
//!
//! ```
//! use ops::array::placeholder;
//! use ops::layers::{BatchNormalizationOptions, LayerOptions, Training, batch_normalization, dense, dropout};
//! use session_core::{DType, Graph, Output, Reuse};
//!
//! fn model(scope: &Graph, images: &Output, training: Training) -> Output {
//!     let hidden = dense(images.within(scope), 32, &LayerOptions::default());
//!     let hidden = batch_normalization(&hidden, training.clone(), &BatchNormalizationOptions::default());
//!     dense(dropout(&hidden, 0.5, training, None), 10, &LayerOptions::default())
//! }
//!
//! let graph = Graph::new();
//! let images = placeholder(&graph, DType::Float32, [None, Some(64)]);
//! let logits = model(&graph.variable_scope("model", Reuse::Auto), &images, Training::On);
//! let evaluated = model(&graph.variable_scope("model", Reuse::Auto), &images, Training::Off);
//! assert_eq!(graph.collection(&session_core::keys::VARIABLES).len(), 8); // two kernels and biases, four of the norm
//! # let _ = (logits, evaluated);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! Or the flag is a [tensor](Training), such as a placeholder that is false unless it is fed. Then both kinds of run
//! compute a little of what only training needs, and draw random numbers.

mod attention;
mod convolution;
mod normalization;
mod pooling;

pub use attention::{AttentionOptions, multi_head_attention};
pub use convolution::{
    conv1d, conv2d, conv2d_transpose, conv3d, conv3d_transpose, depthwise_conv2d, separable_conv2d,
};
pub use normalization::{NormOptions, group_norm, instance_norm, layer_norm};
pub use pooling::{
    average_pooling1d, average_pooling2d, average_pooling3d, global_average_pooling, global_max_pooling,
    max_pooling1d, max_pooling2d, max_pooling3d,
};

use crate::array::constants::number;
use crate::array::{constant, gather, identity, reshape, shape, strided_slice};
use crate::composite::Composite;
use crate::initializers::{Initializer, glorot_uniform, ones, zeros};
use crate::losses::add_regularization;
use crate::math::{greater_equal, matmul, mul, select};
use crate::nn::{
    BatchNormOptions, DataFormat, batch_normalization as normalized, bias_add_with, fused_batch_norm, moments,
};
use crate::optimizers::assign_moving_average;
use crate::random::random_uniform_unit;
use crate::regularizers::{Regularizer, l2_regularizer};
use crate::state::resource_gather;
use crate::variables::VariableBuilder;
use session_core::keys::UPDATE_OPS;
use session_core::{AsOutput, Error, Graph, Output, Shape, Variable};
use std::fmt;
use std::rc::Rc;

/// The options that layers with a kernel share.
///
/// ```
/// use ops::initializers::he_normal;
/// use ops::layers::LayerOptions;
/// use ops::nn::relu;
/// let options = LayerOptions::default().activation(|x| relu(x)).kernel_initializer(he_normal()).kernel_l2(1e-4);
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct LayerOptions {
    activation: Option<fn(&Output) -> Output>,
    use_bias: bool,
    kernel_initializer: Rc<dyn Initializer>,
    bias_initializer: Rc<dyn Initializer>,
    kernel_regularizer: Option<Rc<dyn Regularizer>>,
    bias_regularizer: Option<Rc<dyn Regularizer>>,
    trainable: bool,
}

impl Default for LayerOptions {
    /// No activation, a bias that begins with zeros, a kernel that begins with Glorot's uniform numbers.
    fn default() -> LayerOptions {
        LayerOptions {
            activation: None,
            use_bias: true,
            kernel_initializer: Rc::new(glorot_uniform()),
            bias_initializer: Rc::new(zeros()),
            kernel_regularizer: None,
            bias_regularizer: None,
            trainable: true,
        }
    }
}

impl LayerOptions {
    /// Sets the function that is applied to the result, such as `|x| relu(x)`. Default: none.
    ///
    /// ```
    /// use ops::layers::LayerOptions;
    /// use ops::nn::softplus;
    /// let options = LayerOptions::default().activation(|x| softplus(x));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn activation(mut self, activation: fn(&Output) -> Output) -> Self {
        self.activation = Some(activation);
        self
    }

    /// Sets whether a bias is added. Default: true.
    ///
    /// ```
    /// use ops::layers::LayerOptions;
    /// let options = LayerOptions::default().use_bias(false);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// Sets the initializer of the kernel. Default: [`glorot_uniform`].
    ///
    /// ```
    /// use ops::layers::LayerOptions;
    /// use ops::initializers::he_uniform;
    /// let options = LayerOptions::default().kernel_initializer(he_uniform());
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn kernel_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.kernel_initializer = Rc::new(initializer);
        self
    }

    /// Sets the initializer of the bias. Default: [`zeros`].
    ///
    /// ```
    /// use ops::layers::LayerOptions;
    /// use ops::initializers::constant;
    /// let options = LayerOptions::default().bias_initializer(constant(0.1));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn bias_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.bias_initializer = Rc::new(initializer);
        self
    }

    /// Adds the penalty of the kernel to the collection `regularization_losses`. Default: nothing.
    #[must_use]
    pub fn kernel_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.kernel_regularizer = Some(Rc::new(regularizer));
        self
    }

    /// Adds the penalty of the bias to the collection `regularization_losses`. Default: nothing.
    #[must_use]
    pub fn bias_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.bias_regularizer = Some(Rc::new(regularizer));
        self
    }

    /// Adds `scale * l2_loss(kernel)` to the regularization losses, which [`total_loss`](crate::losses::total_loss) includes. Default: no
    /// regularization.
    ///
    /// ```
    /// use ops::layers::LayerOptions;
    /// let options = LayerOptions::default().kernel_l2(1e-4);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn kernel_l2(self, scale: f64) -> Self {
        self.kernel_regularizer(l2_regularizer(scale))
    }

    /// Sets whether optimizers train the variables of the layer. Default: true.
    #[must_use]
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Returns the kernel of a layer, in the dtype of `like`.
    fn kernel(&self, scope: &Composite, shape: &[usize], like: &Output) -> Variable {
        self.kernel_named(scope, "kernel", shape, like)
    }

    fn kernel_named(&self, scope: &Composite, name: &str, shape: &[usize], like: &Output) -> Variable {
        let (initializer, regularizer) = (&self.kernel_initializer, &self.kernel_regularizer);
        self.variable(scope.graph(), name, shape, like, initializer.as_ref(), regularizer.as_deref())
    }

    /// Returns the bias of a layer, in the dtype of `like`.
    fn bias(&self, scope: &Composite, shape: &[usize], like: &Output) -> Variable {
        let (initializer, regularizer) = (&self.bias_initializer, &self.bias_regularizer);
        self.variable(scope.graph(), "bias", shape, like, initializer.as_ref(), regularizer.as_deref())
    }

    /// Returns a variable of the layer's scope, created or shared, with its penalty.
    fn variable(
        &self,
        graph: &Graph,
        name: &str,
        shape: &[usize],
        like: &Output,
        initializer: &dyn Initializer,
        regularizer: Option<&dyn Regularizer>,
    ) -> Variable {
        let builder = VariableBuilder::new(graph).scoped_name(name).trainable(self.trainable);
        let (variable, is_made) = builder.initializer(shape, like.dtype(), initializer).find_or_make();
        // Once for each variable, however many layers share it.
        if let Some(regularizer) = regularizer.filter(|_| is_made) {
            // TensorFlow's scope of the penalty: `dense/kernel/Regularizer`.
            let place = graph.scope(&format!("{}{name}/Regularizer/", graph.scope_name()));
            add_regularization(&variable.as_output().within(&place), regularizer);
        }
        variable
    }

    /// Bias and activation.
    fn finish(&self, scope: &Composite, result: Output, units: usize, format: DataFormat) -> Output {
        let mut result = scope.enter(result);
        if self.use_bias {
            let bias = self.bias(scope, &[units], &result);
            result = bias_add_with(&result, &bias, format);
        }
        let activated = self.activation.map(|activation| activation(&scope.enter(&result)));
        scope.leave(activated.unwrap_or(result))
    }
}

impl fmt::Debug for LayerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerOptions")
            .field("use_bias", &self.use_bias)
            .field("trainable", &self.trainable)
            .finish_non_exhaustive()
    }
}

/// Adds a fully connected layer: `activation(inputs * kernel + bias)` over the last dimension, whose size
/// must be known.
///
/// ```
/// use ops::{array, layers};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(layers::dense(&x, 10, &layers::LayerOptions::default()).shape().to_string(), "[2,10]");
/// ```
#[must_use]
#[track_caller]
pub fn dense(inputs: impl AsOutput, units: usize, options: &LayerOptions) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "dense");
    let size = known_size(&scope, inputs, 0);
    let kernel = options.kernel(&scope, &[size, units], inputs);
    let inputs = scope.enter(inputs);
    // An unknown rank is taken for a matrix, for which the operation is right; a reshape would need the rank.
    let rows = match inputs.shape().rank() {
        None | Some(2) => return options.finish(&scope, matmul(&inputs, &kernel), units, DataFormat::Nhwc),
        Some(_) => reshape(&inputs, [-1, size as i64]),
    };
    let product = matmul(rows, &kernel);
    // All dimensions but the last are those of the input.
    let result = reshape(product, sizes_with_last(&inputs, units));
    options.finish(&scope, result, units, DataFormat::Nhwc)
}

/// Returns the sizes of a tensor with another last one.
fn sizes_with_last(inputs: &Output, last: usize) -> crate::Ints {
    let sizes = inputs.shape().sizes().unwrap_or_default();
    let leading = &sizes[..sizes.len().saturating_sub(1)];
    // `reshape` infers one unknown size; two or more have to be computed.
    if leading.iter().filter(|&&size| size < 0).count() <= 1 {
        return crate::Ints::Vector(leading.iter().copied().chain([last as i64]).collect());
    }
    let leading = strided_slice(shape(inputs), &[crate::array::Index::from(..-1i64)]);
    let last = constant(&inputs.graph(), [last as i32]);
    crate::array::concat(&[leading, last], 0).into()
}

/// Returns the size of a dimension counted from the last one. If it is unknown, records an error and returns
/// 1.
fn known_size(scope: &Composite, inputs: &Output, back: usize) -> usize {
    inputs.shape().dim_from_end(back).unwrap_or_else(|| {
        if inputs.operation().error().is_none() {
            let (name, shape) = (inputs.name(), inputs.shape());
            let text =
                format!("a layer needs to know how many units or channels '{name}' has, of shape {shape}");
            scope.graph().add_error(Error::value(text));
        }
        1
    })
}

/// Returns all dimensions but the first in one.
///
/// ```
/// use ops::{array, layers};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 4, 3]);
/// assert_eq!(layers::flatten(&x).shape().to_string(), "[2,12]");
/// ```
#[must_use]
#[track_caller]
pub fn flatten(inputs: impl AsOutput) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::new(&inputs.graph(), "flatten");
    let inputs = scope.enter(inputs);
    let known = inputs.shape();
    // -1 is ambiguous if the other size is 0, so an empty batch takes the computed branch.
    let flat = match (known.range(1, usize::MAX).elements(), known.dim(0)) {
        (Some(size), _) if size > 0 => reshape(&inputs, [-1, size as i64]),
        (_, Some(batch)) if batch > 0 => reshape(&inputs, [batch as i64, -1]),
        _ => {
            let batch = strided_slice(shape(&inputs), &[crate::array::Index::from(..1i64)]);
            let rest = constant(scope.graph(), [-1i32]);
            reshape(&inputs, crate::array::concat(&[batch, rest], 0))
        }
    };
    scope.leave(flat)
}

/// Selects whether a layer trains: fixed at construction, or a boolean scalar that is evaluated in each run.
/// `true`, `false`, and outputs convert to it.
/// ```
/// use ops::array::{constant, placeholder_with_default};
/// use ops::layers::dropout;
/// use session_core::PartialShape;
/// # let graph = session_core::Graph::new();
/// # let x = constant(&graph, [1.0f32, 2.0]);
/// let training = placeholder_with_default(constant(&graph, false), PartialShape::scalar()); // training runs feed `true`
/// let kept = dropout(&x, 0.5, &training, None);
/// # assert_eq!(kept.shape().to_string(), "[2]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Training {
    /// All runs train: TensorFlow's `training=True`.
    On,
    /// No run trains: TensorFlow's `training=False`.
    Off,
    /// The runs train in which this bool is true.
    When(Output),
}

impl From<Output> for Training {
    fn from(training: Output) -> Training {
        Training::When(training)
    }
}

impl From<&Output> for Training {
    fn from(training: &Output) -> Training {
        Training::When(training.clone())
    }
}

impl Training {
    /// Chooses one of two values by the tensor.
    fn choose(
        scope: &Composite,
        training: &Output,
        trained: impl AsOutput,
        otherwise: impl AsOutput,
    ) -> Output {
        select(scope.enter(training), scope.enter(trained), scope.enter(otherwise))
    }
}

/// Applies dropout. In training, each element becomes zero with probability `rate`, and the others are
/// multiplied by `1 / (1 - rate)`, which preserves the expected sum. Otherwise the input is returned
/// unchanged.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::layers::{Training, dropout};
/// let hidden = ops::array::zeros(&graph, DType::Float32, [32, 128]);
/// let trained = dropout(&hidden, 0.4, Training::On, None); // in the graph that trains
/// let used = dropout(&hidden, 0.4, Training::Off, None); // in the graph that evaluates
/// assert_eq!(trained.shape(), used.shape());
/// ```
#[must_use]
#[track_caller]
pub fn dropout(inputs: impl AsOutput, rate: f64, training: impl Into<Training>, seed: Option<i64>) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::new(&inputs.graph(), "dropout");
    let inputs = scope.enter(inputs);
    if !(0.0..1.0).contains(&rate) {
        let error = Error::value(format!("a dropout rate must be in [0, 1), not {rate}"));
        scope.graph().add_error(error);
        return scope.leave(inputs);
    }
    let training = training.into();
    if matches!(training, Training::Off) || rate == 0.0 {
        return scope.leave(identity(&inputs));
    }
    let number = |value: f64| number(scope.graph(), inputs.dtype(), value);
    // Scaled up in training, so that evaluation needs no factor.
    let grown = mul(&inputs, number(1.0 / (1.0 - rate)));
    let sizes = match inputs.shape().to_shape() {
        Some(known) => crate::Ints::from(&known),
        None => shape(&inputs).into(),
    };
    let drawn = random_uniform_unit(scope.graph(), sizes, inputs.dtype(), seed);
    // The draw is in [0, 1), so exactly the share `rate` is below it. A selection, unlike a
    // product with 0, also drops NaN.
    let kept = greater_equal(drawn, number(rate));
    let dropped = select(kept, grown, number(0.0));
    scope.leave(match &training {
        Training::On | Training::Off => dropped,
        Training::When(training) => Training::choose(&scope, training, dropped, &inputs),
    })
}

/// Options of [`batch_normalization`].
///
/// ```
/// use ops::layers::BatchNormalizationOptions;
/// let options = BatchNormalizationOptions::default().momentum(0.9).scale(false);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalizationOptions {
    momentum: f64,
    epsilon: f64,
    center: bool,
    scale: bool,
    trainable: bool,
}

impl Default for BatchNormalizationOptions {
    fn default() -> BatchNormalizationOptions {
        BatchNormalizationOptions {
            momentum: 0.99,
            epsilon: 0.001,
            center: true,
            scale: true,
            trainable: true,
        }
    }
}

impl BatchNormalizationOptions {
    /// Sets the share of the running moments that each step keeps. Default: 0.99.
    ///
    /// ```
    /// use ops::layers::BatchNormalizationOptions;
    /// let options = BatchNormalizationOptions::default().momentum(0.9);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets the small number that is added to the variance. Default: 0.001.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Sets whether a learned offset (`beta`) is added. Default: true.
    ///
    /// ```
    /// use ops::layers::BatchNormalizationOptions;
    /// let options = BatchNormalizationOptions::default().center(false);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn center(mut self, center: bool) -> Self {
        self.center = center;
        self
    }

    /// Sets whether the result is multiplied by a learned scale (`gamma`). Default: true.
    #[must_use]
    pub fn scale(mut self, scale: bool) -> Self {
        self.scale = scale;
        self
    }

    /// Sets whether optimizers train the offset and the scale. Default: true.
    #[must_use]
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }
}

/// Normalizes each channel, which is the last dimension, to mean 0 and variance 1: in training by the moments of the batch, otherwise by
/// the running moments `moving_mean` and `moving_variance`.
///
/// In training, the updates of the running moments join the collection `update_ops`. Make them control inputs of the training step with
/// [`Optimizer::within`](crate::optimizers::Optimizer::within). If `training` is a tensor, runs that do not train update nothing.
///
/// ```
/// use ops::layers::{BatchNormalizationOptions, Training, batch_normalization};
/// use ops::optimizers::{AdamOptimizer, Optimizer};
/// use session_core::{DType, Graph, keys};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph, DType::Float32, [Some(32), Some(64)]);
/// let y = batch_normalization(&x, Training::On, &BatchNormalizationOptions::default());
/// let loss = ops::nn::l2_loss(&y);
/// let updates = graph.collection(&keys::UPDATE_OPS);
/// let train_op = AdamOptimizer::new(0.001).within(&graph.control_dependencies(&updates)).minimize(&loss, None);
/// assert_eq!(updates.len(), 2); // the mean and the variance
/// # let _ = train_op;
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn batch_normalization(
    inputs: impl AsOutput,
    training: impl Into<Training>,
    options: &BatchNormalizationOptions,
) -> Output {
    let inputs = inputs.as_output();
    let scope = Composite::layer(&inputs.graph(), "batch_normalization");
    let channels = known_size(&scope, inputs, 0);
    let inputs = scope.enter(inputs);
    let parameters = NormParameters::make(&scope, &inputs, channels, options);
    // The fused operation exists for images alone.
    let normalize = |training: bool| match inputs.shape().rank() {
        Some(4) => parameters.fused(&scope, &inputs, training, options),
        _ => parameters.plain(&scope, &inputs, training, options),
    };
    let result = match &training.into() {
        Training::Off => normalize(false).0,
        Training::On => {
            let (result, moments) = normalize(true);
            if let Some((mean, variance)) = moments {
                parameters.follow(&scope, &mean, &variance, options.momentum);
            }
            result
        }
        Training::When(training) => {
            let (trained, moments) = normalize(true);
            let (otherwise, _) = normalize(false);
            let choose =
                |trained: &Output, otherwise: &Output| Training::choose(&scope, training, trained, otherwise);
            if let Some((mean, variance)) = moments {
                // Moments that stay as they are, whatever those of the batch were.
                let mean = choose(&mean, parameters.moving_mean.as_output());
                let variance = choose(&variance, parameters.moving_variance.as_output());
                parameters.follow(&scope, &mean, &variance, options.momentum);
            }
            choose(&trained, &otherwise)
        }
    };
    scope.leave(result)
}

/// The moments of a batch.
type Moments = Option<(Output, Output)>;

/// The variables of a batch normalization; `gamma` and `beta` are missing if the options switch them off.
struct NormParameters {
    gamma: Option<Variable>,
    beta: Option<Variable>,
    moving_mean: Variable,
    moving_variance: Variable,
}

impl NormParameters {
    /// Returns the variables of a normalization, in TensorFlow's order. The moving moments are not trained:
    /// updates in `update_ops` change them.
    fn make(
        scope: &Composite,
        inputs: &Output,
        channels: usize,
        options: &BatchNormalizationOptions,
    ) -> NormParameters {
        let make = |name: &str, initializer: &dyn Initializer, trainable: bool| {
            let builder = VariableBuilder::new(scope.graph()).scoped_name(name).trainable(trainable);
            builder.initializer(Shape::from([channels]), inputs.dtype(), initializer).build()
        };
        NormParameters {
            gamma: options.scale.then(|| make("gamma", &ones(), options.trainable)),
            beta: options.center.then(|| make("beta", &zeros(), options.trainable)),
            moving_mean: make("moving_mean", &zeros(), false),
            moving_variance: make("moving_variance", &ones(), false),
        }
    }

    /// Images, in one operation.
    fn fused(
        &self,
        scope: &Composite,
        inputs: &Output,
        training: bool,
        options: &BatchNormalizationOptions,
    ) -> (Output, Moments) {
        let value = |variable: &Option<Variable>, missing: f64| match variable {
            Some(variable) => variable.as_output().clone(),
            None => {
                // The operation has no form without scale or offset.
                let channels = self.moving_mean.shape().to_shape().unwrap_or_default();
                let missing = crate::initializers::constant(missing);
                missing.initial_value(scope.graph(), &channels, inputs.dtype())
            }
        };
        let running = (self.moving_mean.as_output().clone(), self.moving_variance.as_output().clone());
        // `epsilon` is an attribute of the operation, in `float`.
        let fused = BatchNormOptions::default().epsilon(options.epsilon as f32).is_training(training);
        let fused = if training { fused } else { fused.moments(running.0, running.1) };
        let found = fused_batch_norm(inputs, value(&self.gamma, 1.0), value(&self.beta, 0.0), &fused);
        (found.y, training.then_some((found.mean, found.variance)))
    }

    /// Any other rank, step by step.
    fn plain(
        &self,
        scope: &Composite,
        inputs: &Output,
        training: bool,
        options: &BatchNormalizationOptions,
    ) -> (Output, Moments) {
        let (mean, variance) = if training {
            // All axes but the last, the channels.
            let axes: Vec<i64> = (0..inputs.shape().rank().unwrap_or(2) as i64 - 1).collect();
            moments(inputs, axes)
        } else {
            (scope.enter(&self.moving_mean), scope.enter(&self.moving_variance))
        };
        let (beta, gamma) =
            (self.beta.as_ref().map(AsOutput::as_output), self.gamma.as_ref().map(AsOutput::as_output));
        let result = normalized(inputs, &mean, &variance, beta, gamma, options.epsilon);
        (result, training.then_some((mean, variance)))
    }

    /// Moves the running moments towards those of the batch.
    fn follow(&self, scope: &Composite, mean: &Output, variance: &Output, momentum: f64) {
        let momentum = number(&scope.graph().named("momentum"), self.moving_mean.dtype(), momentum);
        for (average, value) in [(&self.moving_mean, mean), (&self.moving_variance, variance)] {
            let update = assign_moving_average(average, &scope.enter(value), &momentum);
            if let Err(error) = scope.graph().add_to_collection(&UPDATE_OPS, update) {
                scope.graph().add_error(error);
            }
        }
    }
}

/// Returns the rows of a table, one for each id. [`nn::embedding_lookup`](crate::nn::embedding_lookup) takes other tensors as tables, too.
///
/// ```
/// use ops::{array::constant, initializers::glorot_uniform, layers::embedding_lookup, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let words = get_variable(&graph, "words", [10_000, 64], DType::Float32, &glorot_uniform());
/// assert_eq!(embedding_lookup(&words, constant(&graph, [3, 5, 8])).shape().to_string(), "[3,64]");
/// ```
#[must_use]
#[track_caller]
pub fn embedding_lookup(table: &Variable, ids: impl AsOutput) -> Output {
    let ids = ids.as_output();
    let scope = Composite::new(&ids.graph(), "embedding_lookup");
    let last = scope.graph().named_as_scope();
    let rows = if table.is_resource() {
        resource_gather(table.handle().within(&last), ids, table.dtype())
    } else {
        gather(table.as_output().within(&last), ids)
    };
    scope.leave(rows)
}
