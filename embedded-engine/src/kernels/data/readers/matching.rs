//! `MatchingFilesDataset` (D-86).
//!
//! # Semantics
//!
//! Input: `patterns`, strings. Yields the names of the files that match the first pattern, sorted by bytes,
//! then those of the second, and so on; a file that matches two comes twice. Folders are left out. Names have
//! the folder of their pattern, "./" for a pattern without one. The files are those that exist when the
//! operation runs, with the initializer.
//!
//! Without any match every request is `NotFound`. Otherwise the cardinality is known, and there is random
//! access. Position: the number of the next name; the names are not part of it, so a position belongs to an
//! unchanged folder.

use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::{Dataset, Iterate, Run, Shared, Source};
use crate::kernels::data::element::Element;
use crate::kernels::data::position::{Reader, Writer};
use crate::kernels::data::tensors::Rows;
use crate::kernels::io::{matching, path};
use session_core::{Code, Error, Result};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::{Bytes, Tensor};

/// Makes the dataset of the names of the files that exist now.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let mut elements = Vec::new();
    for pattern in build.strings("patterns")? {
        let pattern = path(&pattern);
        let mut found = Vec::new();
        matching(&pattern, build.context.files(), &mut found)?;
        found.retain(|path| !path.is_dir());
        let bare = pattern.parent().is_none_or(|folder| folder.as_os_str().is_empty());
        let named = |path: PathBuf| if bare { Path::new(".").join(path) } else { path };
        let mut names: Vec<Vec<u8>> =
            found.into_iter().map(|path| named(path).into_os_string().into_vec()).collect();
        names.sort();
        elements.extend(names.into_iter().map(|name| vec![Tensor::string(name)]));
    }
    if elements.is_empty() {
        return Ok(Arc::new(Unmatched { patterns: build.strings("patterns")?.into() }));
    }
    Ok(Arc::new(Rows { name: "MatchingFiles", elements: elements.into() }))
}

/// Patterns that no file matches: every request for an element fails.
#[derive(Clone)]
struct Unmatched {
    /// The patterns, for the message.
    patterns: Arc<[Bytes]>,
}

impl Dataset for Unmatched {
    fn name(&self) -> &'static str {
        "MatchingFiles"
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(self.clone()))
    }
}

impl Iterate for Unmatched {
    /// Fails with the patterns, as often as it is called.
    fn next(&mut self, _: &Run<'_>) -> Result<Option<Element>> {
        let patterns = self.patterns.iter().map(|pattern| String::from_utf8_lossy(pattern));
        let patterns = patterns.collect::<Vec<_>>().join("', '");
        Err(Error::new(Code::NotFound, format!("Don't find any matched files (patterns: '{patterns}')")))
    }

    fn save(&self, _: &mut Writer) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, _: &mut Reader<'_>, _: &Run<'_>) -> Result<()> {
        Ok(())
    }
}
