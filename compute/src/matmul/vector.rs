//! The few vector operations that the kernels are made of, for every instruction set.
//!
//! # Implementations
//!
//! | type | instruction set | lanes of `f32` | lanes of `f64` |
//! |---|---|---|---|
//! | `Lanes` | the target's baseline | 4 | 2 |
//! | `__m256`, `__m256d` | AVX2 and FMA | 8 | 4 |
//! | `__m512`, `__m512d` | AVX-512 F | 16 | 8 |
//!
//! The kernels are generic over [`Vector`], so each is written once. They differ from automatic vectorization in that
//! the number of registers of a tile is fixed: the compiler would otherwise keep a tile in memory.
//!
//! # Bits
//!
//! [`fma`](Vector::fma) rounds once with AVX2 and AVX-512, and twice on the baseline. Products therefore have the
//! same bits on all CPUs with one of the former, apart from sums over lanes, and may have others on the baseline.
//!
//! # Parts of vectors
//!
//! AVX-512 loads and stores parts of a vector by masks. AVX2 has masked stores, which take tens of cycles on many
//! CPUs, so parts go through an array. Either way, elements beyond the given number are neither read nor written:
//! they may belong to another thread, or to no memory at all.
#![allow(unsafe_code)] // intrinsics and raw loads; see the contract of `Vector`

/// A register of several elements.
///
/// Every function is inlined into a caller compiled for the instruction set of the type. Calling one
/// elsewhere is undefined behavior on a CPU without that instruction set.
///
/// # Safety of the methods
/// The CPU must have the instruction set, and pointers must be valid for the elements read or written;
/// they need no alignment.
pub(crate) trait Vector: Copy {
    /// The type of one lane.
    type Elem: Copy;
    /// The number of lanes.
    const LANES: usize;

    /// Returns zeros.
    unsafe fn zero() -> Self;
    /// Returns a vector with one number in all lanes.
    unsafe fn splat(x: Self::Elem) -> Self;
    /// Loads neighboring elements.
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// Stores all lanes.
    unsafe fn store(self, to: *mut Self::Elem);
    /// Returns the first `n <= LANES` elements; the rest is zero and not read.
    unsafe fn load_first(from: *const Self::Elem, n: usize) -> Self;
    /// Stores the first `n <= LANES` elements.
    unsafe fn store_first(self, to: *mut Self::Elem, n: usize);
    /// Adds lane by lane.
    unsafe fn add(self, other: Self) -> Self;
    /// `self * b + c`, rounded once where the hardware can.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// Zero where negative. NaN and -0 stay.
    unsafe fn relu(self) -> Self;
    /// Returns the sum of all lanes.
    unsafe fn total(self) -> Self::Elem;
    /// Asks for a cache line that will be read soon. Any address is allowed.
    #[inline(always)]
    unsafe fn prefetch(_: *const Self::Elem) {}
    /// Transposes the square of `LANES` rows.
    ///
    /// The default moves the elements one by one. Vectors of `f32` exchange them in registers.
    unsafe fn transpose(from: *const Self::Elem, from_stride: usize, to: *mut Self::Elem, to_stride: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller's pointers reach `LANES` rows of `LANES`.
                unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
            }
        }
    }
}

/// Elements as the target's baseline handles them.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Lanes<T, const N: usize>([T; N]);

/// Implements the operations for an array, which the compiler turns into the vectors of the target's baseline.
macro_rules! portable {
    ($type:ty, $lanes:literal) => {
        impl Vector for Lanes<$type, $lanes> {
            type Elem = $type;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                Lanes([0.0; $lanes])
            }
            #[inline(always)]
            unsafe fn splat(x: $type) -> Self {
                Lanes([x; $lanes])
            }
            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: the caller's pointer is valid; an array has its element's layout.
                unsafe { from.cast::<Self>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: as in `load`.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }
            #[inline(always)]
            unsafe fn load_first(from: *const $type, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                for (i, lane) in lanes.iter_mut().enumerate().take(n) {
                    // SAFETY: the caller's pointer is valid for `n` elements.
                    *lane = unsafe { *from.add(i) };
                }
                Lanes(lanes)
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut $type, n: usize) {
                for (i, &lane) in self.0.iter().enumerate().take(n) {
                    // SAFETY: the caller's pointer is valid for `n` elements.
                    unsafe { *to.add(i) = lane };
                }
            }
            #[inline(always)]
            unsafe fn add(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] += other.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, mut c: Self) -> Self {
                for i in 0..$lanes {
                    c.0[i] += self.0[i] * b.0[i];
                }
                c
            }
            #[inline(always)]
            unsafe fn total(self) -> $type {
                self.0.iter().sum()
            }
            #[inline(always)]
            unsafe fn relu(mut self) -> Self {
                for i in 0..$lanes {
                    self.0[i] = if self.0[i] < 0.0 { 0.0 } else { self.0[i] };
                }
                self
            }
        }
    };
}
portable!(f32, 4);
portable!(f64, 2);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use core::arch::x86_64::*;

    /// Implements the operations with AVX-512, whose masks load and store parts of a vector.
    macro_rules! avx512 {
        ($vector:ty, $elem:ty, $lanes:literal, $mask:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $load_mask:ident, $store_mask:ident, $add:ident, $fma:ident, $max:ident, $total:ident, $($transpose:tt)*) => {
            impl Vector for $vector {
                type Elem = $elem;
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn total(self) -> $elem {
                    // SAFETY: as in `zero`.
                    unsafe { $total(self) }
                }
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller's CPU has AVX-512 F.
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn splat(x: $elem) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(from: *const $elem) -> Self {
                    // SAFETY: as in `zero`, and the caller's pointer is valid.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $elem) {
                    // SAFETY: as in `load`.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn load_first(from: *const $elem, n: usize) -> Self {
                    // SAFETY: as in `load`; lanes without their bit are not read.
                    unsafe { $load_mask(((1u32 << n) - 1) as $mask, from) }
                }
                #[inline(always)]
                unsafe fn store_first(self, to: *mut $elem, n: usize) {
                    // SAFETY: as in `load`; lanes without their bit are not written.
                    unsafe { $store_mask(to, ((1u32 << n) - 1) as $mask, self) }
                }
                #[inline(always)]
                unsafe fn prefetch(at: *const $elem) {
                    // SAFETY: as in `zero`; a prefetch never faults.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // The second operand is the result when one is NaN or both are zeros.
                    // SAFETY: as in `zero`.
                    unsafe { $max($zero(), self) }
                }
                $($transpose)*
            }
        };
    }
    avx512!(
        __m512,
        f32,
        16,
        __mmask16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_maskz_loadu_ps,
        _mm512_mask_storeu_ps,
        _mm512_add_ps,
        _mm512_fmadd_ps,
        _mm512_max_ps,
        _mm512_reduce_add_ps,
        #[inline(always)]
        unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            // SAFETY: forwarded.
            unsafe { transpose_16(from, from_stride, to, to_stride) }
        }
    );
    avx512!(
        __m512d,
        f64,
        8,
        __mmask8,
        _mm512_setzero_pd,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_maskz_loadu_pd,
        _mm512_mask_storeu_pd,
        _mm512_add_pd,
        _mm512_fmadd_pd,
        _mm512_max_pd,
        _mm512_reduce_add_pd,
    );

    /// Three rounds of exchange: within 128-bit lanes by pairs, by halves, then of whole lanes.
    #[inline(always)]
    unsafe fn transpose_16(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's CPU has AVX-512 F and its pointers reach 16 rows of 16.
        unsafe {
            let mut r = [_mm512_setzero_ps(); 16];
            for (i, r) in r.iter_mut().enumerate() {
                *r = _mm512_loadu_ps(from.add(i * from_stride));
            }
            // `q[4 g + j]` holds, in its 128-bit lane l, column 4 l + j of rows 4 g .. 4 g + 4.
            let mut q = [_mm512_setzero_ps(); 16];
            for g in (0..16).step_by(4) {
                let low = _mm512_castps_pd(_mm512_unpacklo_ps(r[g], r[g + 1]));
                let high = _mm512_castps_pd(_mm512_unpackhi_ps(r[g], r[g + 1]));
                let low_next = _mm512_castps_pd(_mm512_unpacklo_ps(r[g + 2], r[g + 3]));
                let high_next = _mm512_castps_pd(_mm512_unpackhi_ps(r[g + 2], r[g + 3]));
                q[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low_next));
                q[g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low_next));
                q[g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high_next));
                q[g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high_next));
            }
            for j in 0..4 {
                // Lanes 0 and 1, then 2 and 3, of two groups of rows each.
                let a = _mm512_shuffle_f32x4::<0b01_00_01_00>(q[j], q[4 + j]);
                let b = _mm512_shuffle_f32x4::<0b11_10_11_10>(q[j], q[4 + j]);
                let c = _mm512_shuffle_f32x4::<0b01_00_01_00>(q[8 + j], q[12 + j]);
                let d = _mm512_shuffle_f32x4::<0b11_10_11_10>(q[8 + j], q[12 + j]);
                _mm512_storeu_ps(to.add(j * to_stride), _mm512_shuffle_f32x4::<0b10_00_10_00>(a, c));
                _mm512_storeu_ps(to.add((4 + j) * to_stride), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, c));
                _mm512_storeu_ps(to.add((8 + j) * to_stride), _mm512_shuffle_f32x4::<0b10_00_10_00>(b, d));
                _mm512_storeu_ps(to.add((12 + j) * to_stride), _mm512_shuffle_f32x4::<0b11_01_11_01>(b, d));
            }
        }
    }

    /// Implements the operations with AVX2 and FMA. Parts of a vector are loaded and stored through an array.
    macro_rules! avx2 {
        ($vector:ty, $elem:ty, $lanes:literal, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident, $max:ident, $($transpose:tt)*) => {
            impl Vector for $vector {
                type Elem = $elem;
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller's CPU has AVX2 and FMA.
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn splat(x: $elem) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(from: *const $elem) -> Self {
                    // SAFETY: as in `zero`, and the caller's pointer is valid.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $elem) {
                    // SAFETY: as in `load`.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn load_first(from: *const $elem, n: usize) -> Self {
                    let mut lanes = [0.0; $lanes];
                    for (i, lane) in lanes.iter_mut().enumerate().take(n) {
                        // SAFETY: the caller's pointer is valid for `n` elements.
                        *lane = unsafe { *from.add(i) };
                    }
                    // SAFETY: as in `load`.
                    unsafe { $load(lanes.as_ptr()) }
                }
                #[inline(always)]
                unsafe fn total(self) -> $elem {
                    let mut lanes: [$elem; $lanes] = [0.0; $lanes];
                    // SAFETY: as in `load`.
                    unsafe { $store(lanes.as_mut_ptr(), self) };
                    // From the first lane to the last, as the baseline does. A tree would have other bits.
                    lanes.iter().sum()
                }
                // Not the masked store: on many CPUs it takes tens of cycles.
                #[inline(always)]
                unsafe fn store_first(self, to: *mut $elem, n: usize) {
                    let mut lanes: [$elem; $lanes] = [0.0; $lanes];
                    // SAFETY: as in `load`.
                    unsafe { $store(lanes.as_mut_ptr(), self) };
                    for (i, &lane) in lanes.iter().enumerate().take(n) {
                        // SAFETY: the caller's pointer is valid for `n` elements.
                        unsafe { *to.add(i) = lane };
                    }
                }
                #[inline(always)]
                unsafe fn prefetch(at: *const $elem) {
                    // SAFETY: as in `zero`; a prefetch never faults.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    // SAFETY: as in `zero`.
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // The second operand is the result when one is NaN or both are zeros.
                    // SAFETY: as in `zero`.
                    unsafe { $max($zero(), self) }
                }
                $($transpose)*
            }
        };
    }
    avx2!(
        __m256,
        f32,
        8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_fmadd_ps,
        _mm256_max_ps,
        #[inline(always)]
        unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            // SAFETY: forwarded.
            unsafe { transpose_8(from, from_stride, to, to_stride) }
        }
    );
    avx2!(
        __m256d,
        f64,
        4,
        _mm256_setzero_pd,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_add_pd,
        _mm256_fmadd_pd,
        _mm256_max_pd,
    );

    #[inline(always)]
    unsafe fn transpose_8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's CPU has AVX2 and its pointers reach 8 rows of 8.
        unsafe {
            let mut r = [_mm256_setzero_ps(); 8];
            for (i, r) in r.iter_mut().enumerate() {
                *r = _mm256_loadu_ps(from.add(i * from_stride));
            }
            let mut q = [_mm256_setzero_ps(); 8];
            for g in [0, 4] {
                let low = _mm256_castps_pd(_mm256_unpacklo_ps(r[g], r[g + 1]));
                let high = _mm256_castps_pd(_mm256_unpackhi_ps(r[g], r[g + 1]));
                let low_next = _mm256_castps_pd(_mm256_unpacklo_ps(r[g + 2], r[g + 3]));
                let high_next = _mm256_castps_pd(_mm256_unpackhi_ps(r[g + 2], r[g + 3]));
                q[g] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, low_next));
                q[g + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, low_next));
                q[g + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high, high_next));
                q[g + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high, high_next));
            }
            for j in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(q[j], q[4 + j]);
                let high = _mm256_permute2f128_ps::<0x31>(q[j], q[4 + j]);
                _mm256_storeu_ps(to.add(j * to_stride), low);
                _mm256_storeu_ps(to.add((4 + j) * to_stride), high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs every method on `V`, which the CPU must have.
    #[inline(always)]
    unsafe fn check<V: Vector<Elem = T>, T: From<u16> + PartialOrd + std::fmt::Debug + Copy + Default>(
        nan: T,
        negative: T,
        minus: fn(T) -> T,
    ) {
        let from: Vec<T> = (0..256u16).map(T::from).collect();
        for n in 0..=V::LANES {
            let untouched = T::from(999);
            let mut to = vec![untouched; V::LANES + 1];
            // SAFETY: the slices are long enough.
            unsafe { V::load_first(from.as_ptr(), n).store_first(to.as_mut_ptr(), n) };
            assert_eq!(&to[..n], &from[..n]);
            assert!(to[n..].iter().all(|x| *x == untouched), "{n}");
        }
        let mut to = vec![T::default(); 256];
        // SAFETY: as above.
        unsafe { V::transpose(from.as_ptr(), V::LANES, to.as_mut_ptr(), V::LANES) };
        for i in 0..V::LANES {
            for j in 0..V::LANES {
                assert_eq!(to[j * V::LANES + i], from[i * V::LANES + j], "{i} {j}");
            }
        }
        // SAFETY: as above.
        unsafe {
            V::splat(T::from(2)).fma(V::load(from.as_ptr()), V::splat(T::from(1))).store(to.as_mut_ptr());
            assert_eq!(to[V::LANES - 1], T::from(2 * V::LANES as u16 - 1));
            let total = V::LANES as u16 * (V::LANES as u16 - 1) / 2;
            assert_eq!(V::load(from.as_ptr()).total(), T::from(total));
            V::splat(nan).relu().store(to.as_mut_ptr());
            assert!(to[0].partial_cmp(&to[0]).is_none(), "NaN");
            V::splat(negative).relu().store(to.as_mut_ptr());
            assert_eq!(to[0], T::default());
            V::splat(minus(negative)).relu().add(V::zero()).store(to.as_mut_ptr());
            assert_eq!(to[V::LANES - 1], minus(negative));
        }
    }

    #[test]
    fn every_vector_type_computes_its_operations() {
        // SAFETY: of the baseline, or checked before.
        unsafe {
            check::<Lanes<f32, 4>, f32>(f32::NAN, -1.5, |x| -x);
            check::<Lanes<f64, 2>, f64>(f64::NAN, -1.5, |x| -x);
            #[cfg(target_arch = "x86_64")]
            {
                use core::arch::x86_64::*;
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512() {
                    // SAFETY: this function's own features.
                    unsafe {
                        check::<__m512, f32>(f32::NAN, -1.5, |x| -x);
                        check::<__m512d, f64>(f64::NAN, -1.5, |x| -x);
                    }
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2() {
                    // SAFETY: this function's own features.
                    unsafe {
                        check::<__m256, f32>(f32::NAN, -1.5, |x| -x);
                        check::<__m256d, f64>(f64::NAN, -1.5, |x| -x);
                    }
                }
                if is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512bw") {
                    avx512();
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    avx2();
                }
            }
        }
    }
}
