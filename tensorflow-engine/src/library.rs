//! The search for TensorFlow's library, and its loading.

use crate::ffi::{self, Native};
use session_core::{Code, Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The environment variable with the path of the library, or of a folder that contains it.
pub const LIBRARY_VARIABLE: &str = "MONITORED_SESSION_TF_LIBRARY";

/// The file names of TensorFlow's C API, in Python wheels and in TensorFlow's archives.
const NAMES: [&str; 4] =
    ["libtensorflow_cc.so.2", "libtensorflow.so.2", "libtensorflow.so", "libtensorflow_cc.2.dylib"];

/// TensorFlow's library, loaded into this process. Clones are cheap.
///
/// Loading takes about 300 MB and a third of a second. The library stays loaded until the process ends, because TensorFlow
/// cannot be unloaded.
///
/// ```no_run
/// use tensorflow_engine::{Library, TensorFlowEngine};
/// # fn main() -> session_core::Result<()> {
/// let library = Library::load("/opt/venv/lib/python3.11/site-packages/tensorflow")?;
/// let engine = TensorFlowEngine::with_library(library);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Library {
    /// The canonical path of the file, for messages.
    path: PathBuf,
    /// Its functions.
    api: Native,
}

/// The loaded libraries, by path. Loading happens while it is held, once for each path.
static LOADED: Mutex<Option<HashMap<PathBuf, Native>>> = Mutex::new(None);

impl Library {
    /// Finds and loads the library. It is searched, in this order,
    ///
    /// 1. at the path in the environment variable [`MONITORED_SESSION_TF_LIBRARY`](LIBRARY_VARIABLE): a file or a folder;
    /// 2. in the Python environment `tensorflow/venv` of the build folder (`CARGO_TARGET_DIR`, or a `target` in the
    ///    working directory or above the program), where `cargo xtask tensorflow` installs it;
    /// 3. in the active Python environment (`VIRTUAL_ENV`), and in the one of the Python that
    ///    `MONITORED_SESSION_TF_PYTHON` names;
    /// 4. on the system's library paths.
    ///
    /// # Errors
    /// `NotFound` with all searched places; `FailedPrecondition` if the library that was found cannot be loaded or lacks
    /// functions. A variable that names no library is an error, even if there is a library elsewhere.
    pub fn find() -> Result<Library> {
        if let Some(named) = std::env::var_os(LIBRARY_VARIABLE).filter(|named| !named.is_empty()) {
            return Library::load(named);
        }
        let folders = folders();
        if let Some(path) = folders.iter().find_map(|folder| in_folder(folder)) {
            return Library::load(path);
        }
        for name in NAMES {
            if let Ok(library) = Library::open(Path::new(name)) {
                return Ok(library);
            }
        }
        Err(not_found(&folders))
    }

    /// Loads the library from a path: the file, or a folder that contains it, such as `site-packages/tensorflow`.
    ///
    /// ```no_run
    /// use tensorflow_engine::Library;
    /// let library = Library::load("/usr/local/lib/libtensorflow.so.2")?;
    /// println!("{}", library.path().display());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `NotFound` if there is no library; `FailedPrecondition` if it cannot be loaded or lacks functions.
    pub fn load(path: impl AsRef<Path>) -> Result<Library> {
        let path = path.as_ref();
        if path.is_dir() {
            return match in_folder(path) {
                Some(path) => Library::open(&path),
                None => Err(not_found(&[path.to_path_buf()])),
            };
        }
        if !path.is_file() {
            return Err(not_found(&[path.to_path_buf()]));
        }
        Library::open(path)
    }

    /// Loads a file, or returns the library that is already loaded from it.
    fn open(path: &Path) -> Result<Library> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(&api) = loaded.get(&path) {
            return Ok(Library { path, api });
        }
        let api = ffi::load(&path).map_err(|error| {
            let text = format!("cannot use '{}' as TensorFlow's library", path.display());
            Error::new(Code::FailedPrecondition, text).with_source(error)
        })?;
        loaded.insert(path.clone(), api);
        Ok(Library { path, api })
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns TensorFlow's version, such as `2.21.0`.
    #[must_use]
    pub fn version(&self) -> String {
        ffi::version(self.api)
    }

    /// Returns the functions of the library.
    pub(crate) fn api(&self) -> Native {
        self.api
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Returns the error for a library that was not found, with the searched places and the ways to install it.
fn not_found(places: &[PathBuf]) -> Error {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let text = format!(
        "TensorFlow's library ({}) was not found in {}; install it with `cargo xtask tensorflow` or \
        `pip install tensorflow-cpu`, or set {LIBRARY_VARIABLE} to its path",
        NAMES[0],
        if places.is_empty() { "the system's library paths".to_owned() } else { places.join(", ") },
    );
    Error::new(Code::NotFound, text)
}

/// Returns the folders to search, in order.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut environments: Vec<PathBuf> =
        targets().into_iter().map(|target| target.join("tensorflow").join("venv")).collect();
    environments.extend(variable("VIRTUAL_ENV"));
    // The environment is the folder of `bin/python`, which is itself a link to a file elsewhere.
    let python = variable("MONITORED_SESSION_TF_PYTHON");
    environments.extend(python.and_then(|python| Some(python.parent()?.parent()?.to_path_buf())));
    environments.iter().flat_map(|environment| packages(environment)).collect()
}

/// Returns Cargo's build folders: the configured one, or the `target` folders above the working directory and the program.
fn targets() -> Vec<PathBuf> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return vec![target.into()];
    }
    let starts = [std::env::current_dir(), std::env::current_exe()];
    let above =
        starts.iter().flatten().flat_map(|start| start.ancestors()).map(|folder| folder.join("target"));
    above.filter(|target| target.join("tensorflow").is_dir()).collect()
}

/// Returns TensorFlow's package folders of a Python environment, one for each of its versions of Python, or the expected path if
/// the environment has no Python.
fn packages(environment: &Path) -> Vec<PathBuf> {
    let lib = environment.join("lib");
    let versions = std::fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = versions
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .map(|path| path.join("site-packages").join("tensorflow"))
        .collect();
    found.sort();
    if found.is_empty() {
        found.push(lib);
    }
    found
}

/// Returns the library in a folder, by its known names.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}
