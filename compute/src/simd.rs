//! The instruction set that the kernels use, detected once per process.
//!
//! Loops are written once, in portable code. `dispatch!` compiles a copy of each for every instruction set (`#[target_feature]`) and selects
//! one at run time, so a program for the x86-64 baseline uses the vectors of the machine that it runs on.
//!
//! # Rules for loops
//!
//! - A function that is called in a dispatched loop must be `#[inline(always)]`. Otherwise it is compiled for the
//!   baseline, and the loop calls it for each element.
//! - `a * b + c` has the same bits on all CPUs, as long as it is not written with `mul_add`. Only the kernels of
//!   products use fused operations.
//! - A dispatch costs a load and a branch. It belongs around a loop over some hundred elements, not into one.
//!
//! # Testing the other sets
//!
//! `MONITORED_SESSION_ISA=baseline` or `avx2` runs a program as on a smaller CPU. A set that the CPU does not have
//! cannot be selected.

use std::sync::OnceLock;

/// An instruction set for which kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// The features that the compilation target guarantees.
    Baseline,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// Returns the widest instruction set of this CPU. The environment variable `MONITORED_SESSION_ISA` (`baseline`, `avx2`, or `avx512`) selects a
    /// narrower one, with which the tests exercise the other kernels.
    ///
    /// ```
    /// println!("kernels use {:?}", compute::Isa::current());
    /// ```
    #[must_use]
    pub fn current() -> Isa {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let limit = match std::env::var("MONITORED_SESSION_ISA").as_deref() {
                Ok("baseline") => Isa::Baseline,
                Ok("avx2") => Isa::Avx2,
                _ => Isa::Avx512,
            };
            // The variable can only lower the set: selecting one that the CPU lacks would be undefined
            // behavior.
            Isa::detect().min(limit)
        })
    }

    /// Returns the widest instruction set of this CPU.
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Isa {
        // The same lists of features as in `dispatch!` and in the kernels of products: a feature that is
        // enabled there and not checked here would be undefined behavior.
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, avx512) {
            (_, true) => Isa::Avx512,
            (true, false) => Isa::Avx2,
            (false, false) => Isa::Baseline,
        }
    }

    /// Returns the baseline, on other processors than x86-64.
    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Isa {
        Isa::Baseline
    }
}

/// Compiles a function once per instruction set and calls the one for this CPU.
///
/// The body is auto-vectorized for each set. It must be self-contained or call `#[inline(always)]` functions only, or
/// those are compiled for the baseline. `mul_add` is fast only where FMA exists: write `a * b + c` unless the extra
/// rounding matters, which also keeps the bits equal on all CPUs. The choice is a load of a cached value, so it pays
/// off from a few hundred elements on.
///
/// ```text
/// dispatch! {
///     /// Adds `b` to `a`.
///     pub fn add(a: &mut [f32], b: &[f32]) { for (a, b) in a.iter_mut().zip(b) { *a += b } }
/// }
/// ```
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($gen:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn dispatched $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512 $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? { dispatched($($arg),*) }
                if $crate::simd::Isa::current() == $crate::simd::Isa::Avx512 {
                    // SAFETY: `Isa::current` found these instruction sets on this CPU.
                    return unsafe { avx512($($arg),*) };
                }
            }
            dispatch_avx2! {
                #[inline(always)]
                fn narrower $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? { dispatched($($arg),*) }
            }
            narrower($($arg),*)
        }
    };
}

/// Works as [`dispatch!`], without a copy for AVX-512: for element types that are seldom what a program waits for. What
/// a third copy of their loops would save is less than it costs to compile.
macro_rules! dispatch_avx2 {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($gen:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$($gen: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                if $crate::simd::Isa::current() >= $crate::simd::Isa::Avx2 {
                    // SAFETY: `Isa::current` found these instruction sets on this CPU.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

/// Work whose parts have generic parameters that [`dispatch!`] has no syntax for.
pub(crate) trait Vectorised {
    /// Runs the work. Mark it `#[inline(always)]`, or it is compiled for the baseline.
    fn run(self);
}

dispatch! {
    /// Runs the work, compiled for this CPU.
    pub(crate) fn vectorised<W: Vectorised>(work: W) {
        work.run();
    }
}

dispatch_avx2! {
    /// Runs the work, compiled for this CPU up to AVX2.
    pub(crate) fn vectorised_avx2<W: Vectorised>(work: W) {
        work.run();
    }
}

#[cfg(test)]
mod tests {
    dispatch! {
        /// Sums.
        fn total(values: &[f32]) -> f32 { values.iter().sum() }
    }

    #[test]
    fn dispatched_functions_run() {
        assert_eq!(total(&[1.0, 2.0, 3.5]), 6.5);
    }
}
