//! Shapes that are not fully known before the graph runs.

use smallvec::SmallVec;
use std::fmt;
use tensor::Shape;

/// A shape whose rank or some of whose dimensions may be unknown.
///
/// ```
/// use session_core::PartialShape;
/// let images = PartialShape::from([None, Some(64)]);
/// assert_eq!(images.to_string(), "[?,64]");
/// assert!(images.is_compatible_with(&[32, 64]));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PartialShape(Option<SmallVec<[i64; 4]>>);

impl PartialShape {
    /// Returns a shape of unknown rank.
    ///
    /// ```
    /// assert_eq!(session_core::PartialShape::unknown().rank(), None);
    /// ```
    #[must_use]
    pub const fn unknown() -> PartialShape {
        PartialShape(None)
    }

    /// Returns the shape of a scalar.
    ///
    /// ```
    /// assert_eq!(session_core::PartialShape::scalar().rank(), Some(0));
    /// ```
    #[must_use]
    pub fn scalar() -> PartialShape {
        PartialShape(Some(SmallVec::new()))
    }

    /// Returns a shape of known rank whose dimensions are unknown.
    ///
    /// ```
    /// assert_eq!(session_core::PartialShape::of_rank(2).to_string(), "[?,?]");
    /// ```
    #[must_use]
    pub fn of_rank(rank: usize) -> PartialShape {
        PartialShape(Some(SmallVec::from_elem(-1, rank)))
    }

    /// Creates a shape from sizes in which negative numbers mean unknown, as in graph files.
    ///
    /// ```
    /// assert_eq!(session_core::PartialShape::from_sizes([-1, 3]).to_string(), "[?,3]");
    /// ```
    #[must_use]
    pub fn from_sizes(sizes: impl IntoIterator<Item = i64>) -> PartialShape {
        // Files may have any negative number; -1 is the one stored form, on which comparisons rely.
        PartialShape(Some(sizes.into_iter().map(|size| size.max(-1)).collect()))
    }

    /// Returns the number of dimensions, if known.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([None, Some(3)]).rank(), Some(2));
    /// ```
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.0.as_ref().map(SmallVec::len)
    }

    /// Returns the sizes, with -1 for unknown ones, or `None` if the rank is unknown.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([None, Some(3)]).sizes(), Some(&[-1, 3][..]));
    /// ```
    #[must_use]
    pub fn sizes(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }

    /// Returns the size of a dimension, if known. Dimensions beyond the rank are unknown.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// let shape = PartialShape::from([None, Some(3)]);
    /// assert_eq!((shape.dim(0), shape.dim(1), shape.dim(2)), (None, Some(3), None));
    /// ```
    #[must_use]
    pub fn dim(&self, index: usize) -> Option<usize> {
        let size = *self.0.as_ref()?.get(index)?;
        // -1 is out of range for `usize`, so an unknown size becomes `None`.
        usize::try_from(size).ok()
    }

    /// Returns the size of a dimension counted from the last one.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([None, Some(3)]).dim_from_end(0), Some(3));
    /// ```
    #[must_use]
    pub fn dim_from_end(&self, back: usize) -> Option<usize> {
        self.dim(self.rank()?.checked_sub(back + 1)?)
    }

    /// Returns the shape, if it is fully known.
    ///
    /// ```
    /// use session_core::{PartialShape, Shape};
    /// assert_eq!(PartialShape::from([Some(2)]).to_shape(), Some(Shape::from([2])));
    /// ```
    #[must_use]
    pub fn to_shape(&self) -> Option<Shape> {
        self.0.as_ref()?.iter().map(|&size| usize::try_from(size).ok()).collect()
    }

    /// Returns true if every dimension is known.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert!(PartialShape::scalar().is_fully_known() && !PartialShape::unknown().is_fully_known());
    /// ```
    #[must_use]
    pub fn is_fully_known(&self) -> bool {
        self.0.as_ref().is_some_and(|sizes| sizes.iter().all(|&size| size >= 0))
    }

    /// Returns the number of elements, if the shape is fully known and the number fits.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([Some(2), Some(3)]).elements(), Some(6));
    /// ```
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        self.to_shape()?.checked_elements()
    }

    /// Returns true if a tensor with these dimensions is compatible with the shape.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert!(PartialShape::from([None, Some(3)]).is_compatible_with(&[7, 3]));
    /// ```
    #[must_use]
    #[inline]
    pub fn is_compatible_with(&self, dims: &[usize]) -> bool {
        let Some(sizes) = &self.0 else { return true };
        sizes.len() == dims.len()
            && sizes.iter().zip(dims).all(|(&size, &dim)| size < 0 || size as usize == dim)
    }

    /// Merges the knowledge of both shapes. Returns `None` if they contradict each other.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// let merged = PartialShape::from([None, Some(3)]).merge(&PartialShape::from([Some(2), None]));
    /// assert_eq!(merged, Some(PartialShape::from([Some(2), Some(3)])));
    /// ```
    #[must_use]
    pub fn merge(&self, other: &PartialShape) -> Option<PartialShape> {
        let (Some(a), Some(b)) = (&self.0, &other.0) else {
            return Some(if self.0.is_some() { self.clone() } else { other.clone() });
        };
        if a.len() != b.len() {
            return None;
        }
        let sizes: Option<SmallVec<[i64; 4]>> = a
            .iter()
            .zip(b)
            .map(|(&a, &b)| match (a, b) {
                // An unknown size adds nothing, so the other one counts.
                (-1, size) | (size, -1) => Some(size),
                (a, b) => (a == b).then_some(a),
            })
            .collect();
        sizes.map(|sizes| PartialShape(Some(sizes)))
    }

    /// Returns what holds for both shapes: dimensions that differ become unknown.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// let common = PartialShape::from([Some(2), Some(3)]).relax(&PartialShape::from([Some(4), Some(3)]));
    /// assert_eq!(common, PartialShape::from([None, Some(3)]));
    /// ```
    #[must_use]
    pub fn relax(&self, other: &PartialShape) -> PartialShape {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                PartialShape::from_sizes(a.iter().zip(b).map(|(&a, &b)| if a == b { a } else { -1 }))
            }
            // Ranks that differ leave nothing in common.
            _ => PartialShape::unknown(),
        }
    }

    /// Appends the dimensions of another shape.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// let joined = PartialShape::from([None]).concat(&PartialShape::from([Some(3)]));
    /// assert_eq!(joined.to_string(), "[?,3]");
    /// ```
    #[must_use]
    pub fn concat(&self, other: &PartialShape) -> PartialShape {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => PartialShape(Some(a.iter().chain(b).copied().collect())),
            _ => PartialShape::unknown(),
        }
    }

    /// Returns the dimensions from `start` up to `end`, clipped to the rank.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([None, Some(3)]).range(1, 9).to_string(), "[3]");
    /// ```
    #[must_use]
    pub fn range(&self, start: usize, end: usize) -> PartialShape {
        match &self.0 {
            Some(sizes) => {
                let end = end.min(sizes.len());
                // A start beyond the end gives an empty range instead of a panic: shape functions compute
                // both from attributes.
                PartialShape(Some(SmallVec::from_slice(&sizes[start.min(end)..end])))
            }
            None => PartialShape::unknown(),
        }
    }

    /// Replaces one dimension.
    ///
    /// ```
    /// use session_core::PartialShape;
    /// assert_eq!(PartialShape::from([None, Some(3)]).with_dim(0, Some(2)).to_string(), "[2,3]");
    /// ```
    #[must_use]
    pub fn with_dim(&self, index: usize, size: Option<usize>) -> PartialShape {
        let mut shape = self.clone();
        if let Some(place) = shape.0.as_mut().and_then(|sizes| sizes.get_mut(index)) {
            *place = known(size);
        }
        shape
    }
}

/// Returns the stored form of a size: -1 for unknown. Sizes beyond `i64::MAX` do not exist in memory.
fn known(size: Option<usize>) -> i64 {
    size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX))
}

impl From<&Shape> for PartialShape {
    fn from(shape: &Shape) -> PartialShape {
        PartialShape::from(shape.dims())
    }
}

impl From<Shape> for PartialShape {
    fn from(shape: Shape) -> PartialShape {
        PartialShape::from(shape.dims())
    }
}

impl From<&[usize]> for PartialShape {
    fn from(dims: &[usize]) -> PartialShape {
        PartialShape(Some(dims.iter().map(|&dim| known(Some(dim))).collect()))
    }
}

impl<const N: usize> From<[usize; N]> for PartialShape {
    fn from(dims: [usize; N]) -> PartialShape {
        PartialShape::from(dims.as_slice())
    }
}

impl<const N: usize> From<[Option<usize>; N]> for PartialShape {
    fn from(dims: [Option<usize>; N]) -> PartialShape {
        PartialShape(Some(dims.into_iter().map(known).collect()))
    }
}

impl From<Vec<Option<usize>>> for PartialShape {
    fn from(dims: Vec<Option<usize>>) -> PartialShape {
        dims.into_iter().collect()
    }
}

impl From<&PartialShape> for PartialShape {
    fn from(shape: &PartialShape) -> PartialShape {
        shape.clone()
    }
}

impl FromIterator<Option<usize>> for PartialShape {
    fn from_iter<I: IntoIterator<Item = Option<usize>>>(dims: I) -> PartialShape {
        PartialShape(Some(dims.into_iter().map(known).collect()))
    }
}

impl fmt::Display for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(sizes) = &self.0 else { return f.write_str("<unknown>") };
        let text: Vec<String> =
            sizes.iter().map(|&size| if size < 0 { "?".into() } else { size.to_string() }).collect();
        write!(f, "[{}]", text.join(","))
    }
}

impl fmt::Debug for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_combines_known_dimensions() {
        let a = PartialShape::from([None, Some(3)]);
        let b = PartialShape::from([Some(2), None]);
        assert_eq!(a.merge(&b), Some(PartialShape::from([2, 3])));
        assert_eq!(a.merge(&PartialShape::unknown()), Some(a.clone()));
        assert_eq!(a.merge(&PartialShape::from([1, 4])), None);
        assert_eq!(a.merge(&PartialShape::scalar()), None);
        assert_eq!(a.relax(&b).to_string(), "[?,?]");
        assert_eq!(a.concat(&b).to_string(), "[?,3,2,?]");
    }
}
