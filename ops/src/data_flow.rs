//! Queues, and other structures that pass elements from one part of a program to another.
//!
//! A queue belongs to a session and is identified by the name of its operation, or by its shared name. Queue runners fill it with
//! [`enqueue`](Queue::enqueue) operations in threads of their own; steps take elements with [`dequeue`](Queue::dequeue) or
//! [`dequeue_many`](Queue::dequeue_many), which wait until there are enough.
//!
//! ```
//! use ops::data_flow::FifoQueue;
//! use ops::{array::placeholder, math};
//! use session_core::{DType, Graph, PartialShape};
//!
//! let graph = Graph::new();
//! let x = placeholder(&graph.named("x"), DType::Float32, [2]);
//! let queue = FifoQueue::new(&graph, 32, DType::Float32).shapes([[2]]).build();
//! let enqueue = queue.enqueue(&x);
//! let batch = queue.dequeue_many(8).output();
//! assert_eq!(enqueue.name(), "fifo_queue_enqueue");
//! assert_eq!(batch.shape(), &PartialShape::from([8, 2]));
//! let _sum = math::reduce_sum(&batch, ..);
//! graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! | structure | order of elements | use |
//! | --- | --- | --- |
//! | [`FifoQueue`] | first in, first out | examples, file names |
//! | [`PaddingFifoQueue`] | first in, first out | elements of different shapes, padded to batches |
//! | [`RandomShuffleQueue`] | random | shuffled examples |
//! | [`PriorityQueue`] | by priority | work of different urgency |
//! | [`StagingArea`] | first in, first out, never closed | the next batch, prefetched within a step |
//! | [`Barrier`] | by key, when complete | components that arrive from different places |
//! | [`ConditionalAccumulator`] | sum or mean | gradients of several workers |

pub(crate) mod accumulators;
pub(crate) mod barriers;
mod components;
mod kinds;
mod queue;
pub(crate) mod queue_ops;
pub(crate) mod sparse_map;
pub(crate) mod staging;

pub use accumulators::{ConditionalAccumulator, Reduction, SparseConditionalAccumulator};
pub use barriers::Barrier;
pub use components::{Components, Dtypes};
pub use kinds::{FifoQueue, PaddingFifoQueue, PriorityQueue, RandomShuffleQueue};
pub use queue::{Dequeued, Queue};
pub use sparse_map::{add_many_sparse, add_sparse, take_many_sparse};
pub use staging::StagingArea;
