//! The dtypes and shapes of elements.

use session_core::{AttrValue, DType, OpBuilder, Output, OutputInfo, PartialShape};

/// Dtypes and shapes of the components.
#[derive(Clone, Debug)]
pub(crate) struct Spec(pub(crate) Vec<OutputInfo>);

/// The known dtype and shape of a component.
pub(crate) fn info(dtype: DType, shape: PartialShape) -> OutputInfo {
    OutputInfo { dtype, shape, is_ref: false }
}

impl Spec {
    /// Components like these values.
    pub(crate) fn of(outputs: &[Output]) -> Spec {
        Spec(outputs.iter().map(|output| info(output.dtype(), output.shape().clone())).collect())
    }

    pub(crate) fn one(dtype: DType, shape: impl Into<PartialShape>) -> Spec {
        Spec(vec![info(dtype, shape.into())])
    }

    pub(crate) fn dtypes(&self) -> Vec<DType> {
        self.0.iter().map(|info| info.dtype).collect()
    }

    pub(crate) fn shapes(&self) -> Vec<PartialShape> {
        self.0.iter().map(|info| info.shape.clone()).collect()
    }

    /// The arguments of a function of an element.
    pub(crate) fn arguments(&self) -> Vec<(DType, PartialShape)> {
        self.0.iter().map(|info| (info.dtype, info.shape.clone())).collect()
    }

    /// Returns the same structure with other shapes.
    pub(crate) fn with_shapes(&self, change: impl Fn(usize, &PartialShape) -> PartialShape) -> Spec {
        let infos = self.0.iter().enumerate();
        Spec(infos.map(|(place, known)| info(known.dtype, change(place, &known.shape))).collect())
    }

    /// Components of the shapes that fit these and those of another dataset.
    pub(crate) fn relaxed(&self, other: &Spec) -> Spec {
        self.with_shapes(|place, shape| {
            other.0.get(place).map_or_else(PartialShape::unknown, |other| shape.relax(&other.shape))
        })
    }

    /// Sets the attributes that describe the elements of an operation's result.
    pub(crate) fn describe(&self, builder: OpBuilder) -> OpBuilder {
        let types = self.dtypes().into_iter().map(AttrValue::Type).collect::<Vec<_>>();
        builder.attr("output_types", types).attr("output_shapes", self.shapes())
    }
}
