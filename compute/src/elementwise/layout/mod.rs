//! Moving elements without changing them: transpose, concat, split, slice, pad, tile, gather, scatter.
//!
//! | function | TensorFlow's operation |
//! | --- | --- |
//! | [`transpose`] | `Transpose` |
//! | [`concat()`], [`split`] | `ConcatV2`, `Pack`; `Split`, `SplitV`, `Unpack` |
//! | [`strided_slice`] | `Slice`, `StridedSlice`, `ReverseV2` |
//! | [`strided_assign`] | `StridedSliceGrad` (into zeros), `ResourceStridedSliceAssign`, `Pad` (into the padding) |
//! | [`pad`], [`tile`] | `Pad`, `PadV2`; `Tile` |
//! | [`broadcast_to`] | `BroadcastTo` |
//! | [`gather`], [`gather_nd`] | `GatherV2`, `ResourceGather`; `GatherNd` |
//! | [`scatter`], [`scatter_update`] | `ScatterAdd` and its like; `ScatterUpdate` |
//! | [`scatter_nd`], [`scatter_values`] | `ScatterNd` |
//! | [`unsorted_segment_sum`] | `UnsortedSegmentSum`, `SegmentSum`; the gradient of [`gather`] |
//! | [`unsorted_segment_fold`] | `UnsortedSegmentMax`, `SegmentMax` and their like |
//! | [`one_hot`] | `OneHot` |
//!
//! Everything that only copies takes any `T: Clone`, so also strings.

mod gather;
mod join;
mod one_hot;
mod scatter;
mod strided;
mod tile;
mod transpose;
mod walk;

pub use gather::{GatherShape, Index, IndexError, gather, gather_nd};
pub use join::{concat, split};
pub use one_hot::one_hot;
pub use scatter::{
    scatter, scatter_nd, scatter_update, scatter_values, unsorted_segment_fold, unsorted_segment_sum,
};
pub use strided::{StridedRegion, pad, strided_assign, strided_slice};
pub use tile::{broadcast_to, tile};
pub use transpose::transpose;

#[cfg(test)]
mod tests;
