//! Writing a V1 checkpoint.

use super::{Listed, message, values};
use crate::bundle::{TensorSlice, table};
use crate::commit::{self, Mark};
use crate::storage::{LocalStorage, Storage};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::{Shape, Tensor};

/// Writes one table of a V1 checkpoint. The file appears when it is complete.
#[derive(Debug)]
#[must_use = "nothing is written before `finish`"]
pub struct V1Writer {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    listed: BTreeMap<String, Listed>,
    /// The values by their keys.
    slices: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl V1Writer {
    /// Begins a file at this path.
    pub fn create(path: impl AsRef<Path>) -> V1Writer {
        V1Writer {
            path: path.as_ref().to_path_buf(),
            storage: LocalStorage::shared(),
            listed: BTreeMap::new(),
            slices: BTreeMap::new(),
        }
    }

    /// Adds a whole tensor.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that was added before; [`Error::UnsupportedDType`] for a dtype that the format does
    /// not have.
    pub fn add(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.add_slice(name, tensor.shape(), &TensorSlice::whole(tensor.shape().rank()), tensor)
    }

    /// Adds a part of a tensor of shape `full`.
    ///
    /// # Errors
    /// As [`add`](V1Writer::add); [`Error::Invalid`] too where the part has another shape, or other parts of the tensor
    /// have another dtype or full shape.
    pub fn add_slice(
        &mut self,
        name: &str,
        full: &Shape,
        slice: &TensorSlice,
        tensor: &Tensor,
    ) -> Result<()> {
        if slice.shape_within(full).as_ref() != Some(tensor.shape()) {
            let text = format!(
                "slice {slice} of tensor '{name}' of shape {full} is not of shape {}",
                tensor.shape()
            );
            return Err(Error::Invalid(text));
        }
        let dtype = tensor.dtype();
        let values = values::encoded(tensor).ok_or_else(|| Error::UnsupportedDType {
            name: name.to_owned(),
            dtype,
            format: "a V1 checkpoint",
        })?;
        let listed = self.listed.entry(name.to_owned());
        let listed = listed.or_insert_with(|| Listed { dtype, shape: full.clone(), slices: Vec::new() });
        if listed.dtype != dtype || listed.shape != *full || listed.slices.contains(slice) {
            return Err(Error::Invalid(format!(
                "tensor '{name}' is given twice, or in parts that do not fit"
            )));
        }
        listed.slices.push(slice.clone());
        self.slices.insert(slice_key(name, slice), message::encoded_stored(name, slice, &values));
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let size = self.slices.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
        let mut builder = table::TableBuilder::new(size);
        builder.add(b"", &message::encoded_list(&self.listed));
        self.slices.iter().for_each(|(key, value)| builder.add(key, value));
        commit::replace(&self.storage, &self.path, &builder.finish(), true, Mark::new())
    }
}

/// Returns the key of a slice. One that is all along a dimension has no length there.
pub(super) fn slice_key(name: &str, slice: &TensorSlice) -> Vec<u8> {
    crate::bundle::encode_key(name.as_bytes(), slice)
}
