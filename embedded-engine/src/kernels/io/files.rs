//! Whole files, and the names of files.
//!
//! # Semantics
//!
//! - `ReadFile` returns the content of the file whose name is input 0, a single string. `WriteFile` replaces
//!   the file in input 0 by the content in input 1, and creates the folders that are missing.
//! - `MatchingFiles` takes any number of patterns and returns the names of all existing paths that match,
//!   sorted by bytes. Each path is listed once per pattern that it matches, and begins as the pattern does; with
//!   `./` if the pattern's first component has a wildcard.
//! - `ImmutableConst` reads a tensor of the attributes `dtype` and `shape` from the file
//!   `memory_region_name`, in the byte order of the machine. A longer file is accepted, a shorter one is
//!   `Internal`. It is read in each step rather than mapped.
//!
//! Patterns apply to the components of a path one by one: `*` is any sequence of bytes, `?` one byte, `[a-c]`
//! a byte of a class, `[!a]` or `[^a]` a byte outside it, and a backslash takes the next byte literally. No
//! pattern crosses a `/`, and names that begin with a dot match like any others.
//!
//! A file that the session's `FileAccess` does not allow is an error before it is opened. Errors of the
//! operating system carry the matching code (`failed`) and the error itself as their source.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, FileAccess, PartialShape, Result};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tensor::{Bytes, DType, Tensor};

/// Registers the op types. Those whose outputs depend on files are registered as changing, since their
/// definitions are stateless.
pub(super) fn register(registry: &mut Registry) {
    registry
        .add("ReadFile", |_| {
            Ok(boxed(|context| {
                let path = path(&single(context, 0)?);
                context.files().check_read(&path)?;
                let contents = fs::read(&path).map_err(|error| failed("read", &path, error))?;
                context.set(0, Tensor::string(contents));
                Ok(())
            }))
        })
        .changes()
        .accesses_files();
    registry.add("WriteFile", |_| Ok(boxed(write))).accesses_files();
    registry
        .add("MatchingFiles", |_| {
            Ok(boxed(|context| {
                let mut found = Vec::new();
                for pattern in context.input(0).as_strings()? {
                    let mut paths = Vec::new();
                    matching(&path(pattern), context.files(), &mut paths)?;
                    let is_bare = parts(pattern).is_some_and(|(folder, _)| folder.is_empty());
                    let named = |path: PathBuf| if is_bare { Path::new(".").join(path) } else { path };
                    found.extend(paths.into_iter().map(|path| named(path).into_os_string().into_vec()));
                }
                found.sort();
                let count = found.len();
                context.set(0, Tensor::from_strings(found, [count])?);
                Ok(())
            }))
        })
        .changes()
        .accesses_files();
    registry.add("ImmutableConst", immutable).changes().accesses_files();
}

/// Returns a kernel that reads the elements of a tensor, as they are in memory, from the beginning of a file.
///
/// Attributes are checked here: the shape must be fully known and the dtype must have elements of one size.
/// The file is opened when the kernel runs, so a graph that never runs it may be loaded without the file.
fn immutable(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let (dtype, file) = (spec.dtype("dtype")?, path(spec.str("memory_region_name")?.as_bytes()));
    let shape = spec.attr("shape")?.as_shape().and_then(PartialShape::to_shape);
    let shape = shape.ok_or_else(|| Error::value("attribute 'shape' is not fully known"))?;
    if matches!(dtype, DType::String | DType::Resource | DType::Variant) {
        let text = format!("{dtype} is not supported for ImmutableConst: its elements are not of one size");
        return Err(Error::new(Code::Unimplemented, text));
    }
    // Saturating: no file has that many bytes, so an attribute that overflows ends in the error for a short
    // file.
    let size = shape.elements().saturating_mul(dtype.size());
    Ok(boxed(move |context| {
        context.files().check_read(&file)?;
        let mut bytes = Vec::new();
        let mut opened = fs::File::open(&file).map_err(|error| failed("open", &file, error))?;
        // As much as is there, so that an attribute alone costs no memory.
        read_up_to(&mut opened, size as u64, &mut bytes).map_err(|error| failed("read", &file, error))?;
        if bytes.len() < size {
            let text = format!(
                "'{}' has {} bytes; a tensor of {dtype} of shape {shape} needs {size}",
                file.display(),
                bytes.len()
            );
            return Err(Error::new(Code::Internal, text));
        }
        context.set(0, Tensor::from_bytes(dtype, shape.clone(), bytes)?);
        Ok(())
    }))
}

/// Writes input 1 to the file in input 0. The file is truncated and written, not replaced at once: a reader
/// may see a part of it.
fn write(context: &mut KernelContext<'_>) -> Result<()> {
    let (path, contents) = (path(&single(context, 0)?), single(context, 1)?);
    context.files().check_write(&path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed("make the folder of", &path, error))?;
    }
    fs::write(&path, &contents).map_err(|error| failed("write", &path, error))
}

/// Returns the one string of an input, whatever its rank; other numbers of strings are `InvalidArgument`. The
/// bytes are shared, not copied.
fn single(context: &KernelContext<'_>, input: usize) -> Result<Bytes> {
    match context.input(input).as_strings()? {
        [text] => Ok(text.clone()),
        _ => {
            let text =
                format!("input {input} must be one string, got shape {}", context.input(input).shape());
            Err(Error::invalid_argument(text))
        }
    }
}

/// Returns the path of these bytes.
///
/// Any bytes are a path on Unix; nothing is checked or normalized.
pub(in crate::kernels) fn path(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// Appends the next bytes of a reader, of which there may be fewer, and returns their number. Compiled once for all readers.
pub(in crate::kernels) fn read_up_to(
    reader: &mut dyn Read,
    limit: u64,
    into: &mut Vec<u8>,
) -> io::Result<usize> {
    reader.take(limit).read_to_end(into)
}

/// Converts an operating system error on a file into an error with the matching code.
///
/// `action` is an infinitive for the message: "could not open '/data/a.csv'". Errors without a code of their
/// own are `Unknown`.
pub(super) fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Code::NotFound,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::IsADirectory => Code::FailedPrecondition,
        io::ErrorKind::StorageFull => Code::ResourceExhausted,
        _ => Code::Unknown,
    };
    Error::new(code, format!("could not {action} '{}'", path.display())).with_source(error)
}

/// Appends the paths that match a pattern. Folders that cannot be read have no files; those that may not be
/// are errors.
///
/// Paths are appended in the order in which folders list them; callers sort. A pattern without wildcards
/// matches itself if it exists. Both the folders that are listed and the paths that are returned are checked
/// against `files`.
///
/// The candidates grow component by component: after `data/*/part-?` has consumed two components they are all
/// entries of `data`. So only folders on the way to a match are opened. What is before the first component with
/// a wildcard is kept as it is, also `.` in it.
pub(in crate::kernels) fn matching(
    pattern: &Path,
    files: &FileAccess,
    found: &mut Vec<PathBuf>,
) -> Result<()> {
    let Some((folder, components)) = parts(pattern.as_os_str().as_bytes()) else {
        return existing(pattern.to_owned(), files, found);
    };
    let mut candidates = vec![path(folder)];
    for part in components.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        if matches!(part, b"." | b"..") {
            // Folders do not list these.
            candidates.clear();
        } else if !part.iter().any(is_special) {
            candidates.iter_mut().for_each(|path| path.push(OsStr::from_bytes(part)));
        } else {
            // A folder is listed only if it may be read, even if nothing in it would match.
            candidates.iter().try_for_each(|folder| files.check_read(opened(folder)))?;
            candidates = candidates.iter().flat_map(|folder| names(folder, part)).collect();
        }
    }
    candidates.into_iter().try_for_each(|path| existing(path, files, found))
}

/// Appends a path that may be read, if it exists.
fn existing(path: PathBuf, files: &FileAccess, found: &mut Vec<PathBuf>) -> Result<()> {
    files.check_read(&path)?;
    if path.exists() {
        found.push(path);
    }
    Ok(())
}

/// Returns true for bytes that have a meaning in a pattern.
fn is_special(byte: &u8) -> bool {
    b"*?[\\".contains(byte)
}

/// Returns the folder before the first component with a wildcard, including its slash, and the rest; `None`
/// for a pattern without wildcards.
fn parts(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    let special = pattern.iter().position(is_special)?;
    let folder = pattern[..special].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    Some(pattern.split_at(folder))
}

/// Returns the folder that is opened to list the entries of a prefix: the working directory if the prefix
/// is empty.
fn opened(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Returns the files of a folder whose names match.
///
/// The paths begin with `folder` as the pattern has it, so relative patterns give relative paths.
fn names(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(opened(folder)) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names.filter(|name| matches(pattern, name.as_bytes())).map(|name| folder.join(name)).collect()
}

/// Returns true if a name matches a pattern with `*`, `?` and `[..]`.
///
/// Matches greedily with one backtracking point: after a mismatch the last star covers one byte more. Earlier
/// stars need no second try, which bounds the time by the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // The place of the last star, and the length of the part of the name that it matches so far.
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < name.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
                continue;
            }
            Some(b'?') => Some(at + 1),
            Some(b'[') => match class(&pattern[at..], name[place]) {
                Some((fits, len)) => fits.then_some(at + len),
                // A class without an end is an ordinary bracket.
                None => (name[place] == b'[').then_some(at + 1),
            },
            Some(b'\\') if at + 1 < pattern.len() => (pattern[at + 1] == name[place]).then_some(at + 2),
            Some(&byte) => (byte == name[place]).then_some(at + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => (at, place) = (next, place + 1),
            (None, Some((from, covered))) => {
                star = Some((from, covered + 1));
                (at, place) = (from + 1, covered + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Returns whether a byte is in the class that the pattern begins with, and the length of the class; nothing
/// if it has no end.
///
/// `pattern` begins with the opening bracket. A closing bracket in first place is an element of the class,
/// and a hyphen in last place is itself.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let mut at = if negated { 2 } else { 1 };
    // The place of the first element, where `]` does not end the class.
    let (first, mut fits) = (at, false);
    loop {
        let &low = pattern.get(at)?;
        if low == b']' && at > first {
            return Some((fits != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                fits |= (low..=high).contains(&byte);
                at += 3;
            }
            _ => {
                fits |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]x", "]x", true),
            ("[ab", "[ab", true),
            ("[a-]", "-", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
