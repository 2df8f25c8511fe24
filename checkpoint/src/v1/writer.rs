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
    /// [`Error::Invalid`] for a name that was added before, and for a tensor that takes 2 GiB or more, which the format
    /// cannot hold; [`Error::UnsupportedDType`] for a dtype that the format does not have.
    pub fn add(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.add_slice(name, tensor.shape(), &TensorSlice::whole(tensor.shape().rank()), tensor)
    }

    /// Adds a part of a tensor of shape `full`.
    ///
    /// # Errors
    /// As [`add`](V1Writer::add); [`Error::Invalid`] too where the part has another shape, or other parts of the tensor
    /// have another dtype or full shape, and for a part that takes 2 GiB or more.
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
        check_size(name, message::stored_len(name, slice, values.len()))?;
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
    /// [`Error::Io`]; [`Error::Invalid`] where the list of the tensors takes 2 GiB or more.
    pub fn finish(self) -> Result<()> {
        let list = message::encoded_list(&self.listed);
        if list.len() > message::MAX_MESSAGE {
            let text =
                format!("the list of the tensors is too large for a V1 checkpoint: {} bytes", list.len());
            return Err(Error::Invalid(text));
        }
        let size = self.slices.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
        let mut builder = table::TableBuilder::new(size);
        builder.add(b"", &list);
        self.slices.iter().for_each(|(key, value)| builder.add(key, value));
        commit::replace(&self.storage, &self.path, &builder.finish(), true, Mark::new())
    }
}

/// Returns the key of a slice. One that is all along a dimension has no length there.
pub(super) fn slice_key(name: &str, slice: &TensorSlice) -> Vec<u8> {
    crate::bundle::encode_key(name.as_bytes(), slice)
}

/// Checks that a slice of this many bytes can be read again.
fn check_size(name: &str, bytes: usize) -> Result<()> {
    if bytes <= message::MAX_MESSAGE {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a slice of tensor '{name}' is too large for a V1 checkpoint: it takes {bytes} bytes, and at most {} can be read; \
         add the tensor in smaller slices, or write a V2 checkpoint",
        message::MAX_MESSAGE
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_could_not_be_read_is_refused() {
        let whole = TensorSlice::whole(1);
        // What the message has in addition to the numbers, where their length takes five bytes.
        let other = message::stored_len("w", &whole, 1 << 30) - (1 << 30);
        let size = |values| message::stored_len("w", &whole, values);
        check_size("w", size(message::MAX_MESSAGE - other)).unwrap();
        let error = check_size("w", size(message::MAX_MESSAGE - other + 1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("tensor 'w'") && text.contains("2147483648 bytes"), "{text}");
    }
}
