//! A step that was run before allocates no large buffer: results go into memory that an earlier step returned to the pool.
//!
//! Large buffers come from the allocator of the process, which counts them here, or from arenas that the system maps, which
//! show in the size of the process.
#![allow(clippy::unwrap_used)] // in a test a panic is the report
#![allow(unsafe_code)] // an allocator that counts cannot be written without

use embedded_engine::EmbeddedEngine;
use ops::optimizers::*;
use ops::{array, layers, math, variables};
use session_core::{DType, Engine, Graph, SessionConfig, SessionExt, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Smaller allocations are those of bookkeeping. Each matrix of the model is larger.
const LARGE: usize = 64 << 10;

static LARGE_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts large allocations.
struct Counting;

fn count(bytes: usize) {
    if bytes >= LARGE {
        LARGE_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: all calls are passed on to the system's allocator with the arguments of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the pointer came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`, and the pointer came from the same allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The address space of the process in bytes; 0 where the system does not report it in this way.
fn mapped() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|text| text.split(' ').next()?.parse::<usize>().ok());
    pages.map_or(0, |pages| pages * 4096)
}

#[test]
fn a_steady_step_allocates_no_large_buffer() {
    let count = || LARGE_ALLOCATIONS.load(Ordering::Relaxed);
    let before = count();
    drop(std::hint::black_box(vec![1u8; LARGE]));
    assert_eq!(count(), before + 1, "the allocator counts");

    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [128, 256]);
    let hidden = layers::dense(&x, 256, &layers::LayerOptions::default());
    let loss = math::reduce_mean(math::square(&hidden), ..);
    let train = AdamOptimizer::new(0.01).minimize(&loss, None);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(2)).unwrap();
    session.run(variables::global_variables_initializer(&graph), ()).unwrap();
    let batch = Tensor::from_vec(vec![0.5f32; 128 * 256], [128, 256]).unwrap();
    let step = || drop(session.run((&train, &loss), [(&x, batch.clone())]).unwrap());

    // The first one compiles the plan; then the pool reaches its size.
    (0..3).for_each(|_| step());
    let (allocations, bytes) = (count(), mapped());
    // Each step makes at least the gradients of 256 KiB and the activations of 128 KiB. Without reuse, that is 38 MB in all.
    (0..100).for_each(|_| step());
    assert_eq!(count(), allocations);
    assert!(mapped() <= bytes + (16 << 20), "{} bytes were mapped", mapped() - bytes);
}
