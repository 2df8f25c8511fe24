//! Reads the files of this folder: lines of `case,name,values`, the values as bits in hexadecimal.

#![allow(dead_code)] // each test uses a part

use half::{bf16, f16};
use std::collections::{BTreeMap, HashMap};

/// A number that the files hold, and how to compare it.
pub(crate) trait Number: Copy + std::fmt::Debug {
    /// Parses the bits in hexadecimal.
    fn parse(bits: &str) -> Self;
    /// Returns the place of the number among all numbers of the type in ascending order; 0 is that of both zeros.
    fn rank(self) -> i64;
    /// The number, perhaps rounded.
    fn to_f64(self) -> f64;
    /// The distance of 1 from the next larger number.
    fn epsilon() -> f64;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;
    /// Whether its magnitude is so small that TensorFlow may have made it 0.
    fn is_tiny(self) -> bool;
}

macro_rules! numbers {
    ($($type:ty, $bits:ty, $signed:ty, $tiny:expr;)*) => {$(
        impl Number for $type {
            fn parse(bits: &str) -> Self {
                <$type>::from_bits(<$bits>::from_str_radix(bits, 16).unwrap())
            }

            fn rank(self) -> i64 {
                let bits = self.to_bits() as $signed;
                i64::from(if bits < 0 { <$signed>::MIN.wrapping_sub(bits) } else { bits })
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn epsilon() -> f64 {
                <$type>::EPSILON.into()
            }

            fn is_nan(self) -> bool {
                self.is_nan()
            }

            fn is_tiny(self) -> bool {
                f64::from(self).abs() < $tiny
            }
        }
    )*};
}

numbers! {
    f32, u32, i32, 2.4e-38;
    f64, u64, i64, 4.5e-308;
    f16, u16, i16, 0.0;
    bf16, u16, i16, 2.4e-38;
}

/// Returns the number of values of the type between two others; 0 for two NaNs, many when only one is.
pub(crate) fn distance<T: Number>(a: T, b: T) -> u64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0,
        (false, false) if a.is_tiny() && b.is_tiny() => 0,
        (false, false) => a.rank().abs_diff(b.rank()),
        _ => u64::MAX,
    }
}

/// The values of one case by name.
pub(crate) struct Case(HashMap<String, Vec<String>>);

impl Case {
    /// The numbers of this name.
    ///
    /// # Panics
    /// When there are none.
    pub(crate) fn get<T: Number>(&self, name: &str) -> Vec<T> {
        self.try_get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// The numbers of this name, if there are any.
    pub(crate) fn try_get<T: Number>(&self, name: &str) -> Option<Vec<T>> {
        Some(self.0.get(name)?.iter().map(|bits| T::parse(bits)).collect())
    }

    /// The decimal integers of this name.
    ///
    /// # Panics
    /// When there are none.
    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.0[name].iter().map(|value| value.parse().unwrap()).collect()
    }

    /// The words of this name, if there are any.
    pub(crate) fn words(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// All cases of a file.
pub(crate) fn cases(text: &str) -> BTreeMap<String, Case> {
    let mut cases = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ',');
        let [case, name, values] = std::array::from_fn(|_| parts.next().unwrap());
        let values = values.split(' ').filter(|value| !value.is_empty()).map(String::from).collect();
        cases
            .entry(case.to_string())
            .or_insert_with(|| Case(HashMap::new()))
            .0
            .insert(name.to_string(), values);
    }
    cases
}
