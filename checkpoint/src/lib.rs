//! TensorFlow checkpoints: read, write, save, restore, retain.
