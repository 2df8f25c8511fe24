//! Numeric kernels over plain slices: products, convolutions, optimizers, random numbers.
