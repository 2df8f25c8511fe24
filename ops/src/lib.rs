//! The op library: definitions, shapes, constructors, gradients, optimizers.
