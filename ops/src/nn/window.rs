//! Windows that move over images: what convolutions and pooling have in common.

use session_core::{Error, PartialShape, Result, ShapeContext};

use crate::shapes;

/// The order of the axes of a batch of images, and by analogy of sequences and volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Batch, rows, columns, channels: the default.
    #[default]
    Nhwc,
    /// Batch, channels, rows, columns.
    Nchw,
}

impl DataFormat {
    /// Returns the name in attributes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DataFormat::Nhwc => "NHWC",
            DataFormat::Nchw => "NCHW",
        }
    }

    /// Returns the name in attributes of operations over volumes (three spatial dimensions), or over images.
    pub(crate) fn name_for(self, spatial: usize) -> &'static str {
        match (self, spatial) {
            (DataFormat::Nhwc, 3) => "NDHWC",
            (DataFormat::Nchw, 3) => "NCDHW",
            _ => self.name(),
        }
    }

    /// Returns the first axis of space.
    pub(crate) fn first_spatial(self) -> i64 {
        match self {
            DataFormat::Nhwc => 1,
            DataFormat::Nchw => 2,
        }
    }

    /// Returns the place of the channels, counted from the last of `rank` axes.
    pub(crate) fn channels_from_end(self, rank: usize) -> usize {
        match self {
            DataFormat::Nhwc => 0,
            DataFormat::Nchw => rank.saturating_sub(2),
        }
    }

    /// One number for each axis of space, as a list for all axes.
    pub(crate) fn spatial<const N: usize>(self, sizes: [usize; N]) -> Vec<i64> {
        let sizes = sizes.into_iter().map(|size| size.try_into().unwrap_or(i64::MAX));
        match self {
            DataFormat::Nhwc => [1].into_iter().chain(sizes).chain([1]).collect(),
            DataFormat::Nchw => [1, 1].into_iter().chain(sizes).collect(),
        }
    }

    /// One pair for rows and one for columns, as a list of pairs for all axes.
    fn pairs(self, [rows, columns]: [[i64; 2]; 2]) -> Vec<i64> {
        match self {
            DataFormat::Nhwc => [[0, 0], rows, columns, [0, 0]].concat(),
            DataFormat::Nchw => [[0, 0], [0, 0], rows, columns].concat(),
        }
    }
}

/// The padding beyond the border of an image.
///
/// For 8 rows, a window of 3 and a stride of 2, [`Same`](Padding::Same) gives 4 rows (8 / 2, rounded up) and
/// [`Valid`](Padding::Valid) 3 (the windows that fit).
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 1]);
/// let rows = |padding| nn::max_pool(&x, [3, 3], [2, 2], padding).shape().dim(1);
/// assert_eq!(rows(nn::Padding::Same), Some(4));
/// assert_eq!(rows(nn::Padding::Valid), Some(3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Windows may stick out, so that there is one for every `stride`-th element.
    #[default]
    Same,
    /// Windows lie wholly within.
    Valid,
    /// Numbers of zeros before and after the rows, and before and after the columns.
    Explicit([[i64; 2]; 2]),
}

impl Padding {
    /// Returns the values of the attributes: the name, and the explicit numbers for all axes.
    pub(crate) fn attrs(self, format: DataFormat) -> (&'static str, Vec<i64>) {
        match self {
            Padding::Same => ("SAME", Vec::new()),
            Padding::Valid => ("VALID", Vec::new()),
            Padding::Explicit(pairs) => ("EXPLICIT", format.pairs(pairs)),
        }
    }
}

/// The axes of a batch of images or volumes: those of rows, columns (and planes), and that of channels.
pub(crate) struct Axes {
    pub(crate) spatial: Vec<usize>,
    pub(crate) channels: usize,
}

/// Returns the axes of this many dimensions in the order of the `data_format` attribute.
pub(crate) fn axes(context: &ShapeContext<'_>, rank: usize) -> Axes {
    // `NCHW` and `NCDHW` both begin so.
    let first = shapes::str_attr(context, "data_format").starts_with("NC");
    if first {
        Axes { spatial: (2..rank).collect(), channels: 1 }
    } else {
        Axes { spatial: (1..rank - 1).collect(), channels: rank - 1 }
    }
}

/// Returns a list attribute with one positive number for each axis.
pub(crate) fn list_attr(context: &ShapeContext<'_>, name: &str, rank: usize) -> Result<Vec<usize>> {
    let values = context.attr(name).and_then(|value| value.as_ints()).unwrap_or_default();
    let values: Option<Vec<usize>> =
        values.iter().map(|&value| usize::try_from(value).ok().filter(|&value| value > 0)).collect();
    values.filter(|values| values.len() == rank).ok_or_else(|| {
        Error::value(format!("attribute '{name}' must be {rank} positive integers, one for each axis"))
    })
}

/// The movement of the windows of one operation.
pub(crate) struct Windows {
    strides: Vec<usize>,
    dilations: Vec<usize>,
    padding: String,
    explicit: Vec<i64>,
}

impl Windows {
    /// Windows that move so, without dilation.
    pub(crate) fn new(strides: Vec<usize>, padding: &str) -> Windows {
        let dilations = vec![1; strides.len()];
        Windows { strides, dilations, padding: padding.to_owned(), explicit: Vec::new() }
    }

    /// Returns the same windows with their elements apart.
    pub(crate) fn dilated(self, dilations: Vec<usize>) -> Windows {
        Windows { dilations, ..self }
    }

    /// Reads the window from the attributes. Missing attributes count as 1, or as empty lists.
    pub(crate) fn of(context: &ShapeContext<'_>, rank: usize) -> Result<Windows> {
        let dilations = match context.attr("dilations") {
            Some(_) => list_attr(context, "dilations", rank)?,
            None => vec![1; rank],
        };
        let explicit = context.attr("explicit_paddings").and_then(|list| list.as_ints()).unwrap_or_default();
        let padding = shapes::str_attr(context, "padding").to_owned();
        if padding == "EXPLICIT" && (explicit.len() != 2 * rank || explicit.iter().any(|&size| size < 0)) {
            let text = format!("explicit_paddings must be {} numbers, none negative: {explicit:?}", 2 * rank);
            return Err(Error::value(text));
        }
        Ok(Windows { strides: list_attr(context, "strides", rank)?, dilations, padding, explicit })
    }

    /// Returns the number of windows that of this size fit along an axis.
    pub(crate) fn count(
        &self,
        input: &PartialShape,
        axis: usize,
        window: Option<usize>,
    ) -> Result<Option<usize>> {
        let Some(size) = input.dim(axis) else { return Ok(None) };
        let stride = self.strides[axis];
        // The number of windows depends on the stride alone: padding is added as needed.
        if self.padding == "SAME" {
            return Ok(Some(size.div_ceil(stride)));
        }
        let Some(window) = window else { return Ok(None) };
        // A window whose reach overflows is larger than any axis.
        let window = window.saturating_sub(1).saturating_mul(self.dilations[axis]).saturating_add(1);
        let padded = match self.padding.as_str() {
            "EXPLICIT" => {
                let borders =
                    self.explicit[2 * axis..][..2].iter().map(|&border| usize::try_from(border).ok());
                borders.into_iter().try_fold(Some(size), shapes::plus)?.unwrap_or(size)
            }
            _ => size,
        };
        // An empty axis has no windows, which is not an error.
        if padded == 0 {
            return Ok(Some(0));
        }
        padded.checked_sub(window).map(|rest| Some(rest / stride + 1)).ok_or_else(|| {
            Error::value(format!("a window of size {window} does not fit into axis {axis} of shape {input}"))
        })
    }
}
