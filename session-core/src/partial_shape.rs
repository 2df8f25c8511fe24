//! What is known of a shape before the graph runs.

use smallvec::SmallVec;
use std::fmt;
use tensor::Shape;

/// A shape of which the rank, or some sizes, may be unknown.
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
    /// Nothing is known, not even the rank.
    #[must_use]
    pub const fn unknown() -> PartialShape {
        PartialShape(None)
    }

    /// A scalar's shape.
    #[must_use]
    pub fn scalar() -> PartialShape {
        PartialShape(Some(SmallVec::new()))
    }

    /// A shape of known rank with no size known.
    #[must_use]
    pub fn of_rank(rank: usize) -> PartialShape {
        PartialShape(Some(SmallVec::from_elem(-1, rank)))
    }

    /// From sizes in which a negative number means unknown, as in graph files.
    #[must_use]
    pub fn from_sizes(sizes: impl IntoIterator<Item = i64>) -> PartialShape {
        PartialShape(Some(sizes.into_iter().map(|size| size.max(-1)).collect()))
    }

    /// The number of dimensions, if known.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.0.as_ref().map(SmallVec::len)
    }

    /// The sizes, -1 where unknown; `None` when the rank is unknown.
    #[must_use]
    pub fn sizes(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }

    /// The size of one dimension, if known. Dimensions beyond the rank are unknown.
    #[must_use]
    pub fn dim(&self, index: usize) -> Option<usize> {
        let size = *self.0.as_ref()?.get(index)?;
        usize::try_from(size).ok()
    }

    /// The size of a dimension counted from the last one.
    #[must_use]
    pub fn dim_from_end(&self, back: usize) -> Option<usize> {
        self.dim(self.rank()?.checked_sub(back + 1)?)
    }

    /// The shape, if everything is known.
    #[must_use]
    pub fn to_shape(&self) -> Option<Shape> {
        self.0.as_ref()?.iter().map(|&size| usize::try_from(size).ok()).collect()
    }

    /// Whether every size is known.
    #[must_use]
    pub fn is_fully_known(&self) -> bool {
        self.0.as_ref().is_some_and(|sizes| sizes.iter().all(|&size| size >= 0))
    }

    /// The number of elements, if everything is known and it fits.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        self.to_shape()?.checked_elements()
    }

    /// Whether a tensor with these sizes agrees with what is known.
    #[must_use]
    #[inline]
    pub fn is_compatible_with(&self, dims: &[usize]) -> bool {
        let Some(sizes) = &self.0 else { return true };
        sizes.len() == dims.len()
            && sizes.iter().zip(dims).all(|(&size, &dim)| size < 0 || size as usize == dim)
    }

    /// What both know together; `None` when they contradict each other.
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
                (-1, size) | (size, -1) => Some(size),
                (a, b) => (a == b).then_some(a),
            })
            .collect();
        sizes.map(|sizes| PartialShape(Some(sizes)))
    }

    /// What holds for both: sizes that differ become unknown.
    #[must_use]
    pub fn relax(&self, other: &PartialShape) -> PartialShape {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                PartialShape::from_sizes(a.iter().zip(b).map(|(&a, &b)| if a == b { a } else { -1 }))
            }
            _ => PartialShape::unknown(),
        }
    }

    /// This shape followed by the dimensions of another.
    #[must_use]
    pub fn concat(&self, other: &PartialShape) -> PartialShape {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => PartialShape(Some(a.iter().chain(b).copied().collect())),
            _ => PartialShape::unknown(),
        }
    }

    /// The dimensions from `start` up to `end` (clipped to the rank).
    #[must_use]
    pub fn range(&self, start: usize, end: usize) -> PartialShape {
        match &self.0 {
            Some(sizes) => {
                let end = end.min(sizes.len());
                PartialShape(Some(SmallVec::from_slice(&sizes[start.min(end)..end])))
            }
            None => PartialShape::unknown(),
        }
    }

    /// The same with one dimension replaced.
    #[must_use]
    pub fn with_dim(&self, index: usize, size: Option<usize>) -> PartialShape {
        let mut shape = self.clone();
        if let Some(place) = shape.0.as_mut().and_then(|sizes| sizes.get_mut(index)) {
            *place = known(size);
        }
        shape
    }
}

/// A size as it is kept: -1 when unknown. Sizes beyond `i64::MAX` do not exist in memory.
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
    fn merges_what_is_known() {
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
