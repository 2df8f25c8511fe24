//! The files that a graph may reach are those in the folders that its session allows.
#![allow(clippy::unwrap_used)] // a panic is the report

#[path = "file_access/rows.rs"]
mod rows;

use embedded_engine::EmbeddedEngine;
use graph_def::proto::GraphDef;
use graph_def::{ImportOptions, import_graph_def};
use ops::library;
use rows::{Row, rows};
use session_core::{Code, Engine, Error, FileAccess, Graph, SessionConfig, SessionExt, Tensor};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use summary::record::RecordWriter;
use tempfile::TempDir;

/// A folder that may be used, and one that may not, each with the same files.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
    for folder in [&inside, &outside] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("a.txt"), "a\n").unwrap();
        let mut records = RecordWriter::new(Vec::new());
        records.write(b"a").unwrap();
        fs::write(folder.join("a.tfrecord"), records.into_inner()).unwrap();
        for (prefix, name) in [("saved", "v"), ("cached", "      0_0")] {
            let mut writer = checkpoint::bundle::BundleWriter::create(folder.join(prefix)).unwrap();
            writer.add(name, &Tensor::string("a")).unwrap();
            writer.finish().unwrap();
        }
    }
    (folder, inside, outside)
}

/// The files of a folder and what they hold.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.map(|path| match path.is_dir() {
        true => contents(&path),
        false => BTreeMap::from([(path.clone(), fs::read(&path).unwrap())]),
    });
    files.flatten().collect()
}

/// Runs the operation of a row on a path.
fn ask(row: &Row, path: &Path, access: &FileAccess) -> Result<(), Error> {
    let graph = Graph::new();
    let message = GraphDef::from_text(&row.graph(path.to_str().unwrap()))?;
    import_graph_def(&graph, &message, &ImportOptions::new())?;
    let config = SessionConfig::default().file_access(access.clone());
    let session = EmbeddedEngine::new().new_session(&graph, "", &config)?;
    session.run(&graph.operation("asked")?, ())
}

/// Expects that an operation is refused.
fn refused(row: &Row, path: &Path, access: &FileAccess) {
    let place = format!("{:?} on {}", row.op_types, path.display());
    let error = ask(row, path, access).expect_err(&place);
    assert_eq!(error.code(), Code::PermissionDenied, "{place}: {error}");
    // What a dataset opens, it opens for the operation that takes its elements.
    let of = error.op_type().unwrap_or_default();
    assert!(row.op_types.contains(&of) || of == "DatasetToSingleElement", "{place}: {error}");
    let is_unknown = error.to_string().contains("the folder that it leads to is unknown");
    assert!(is_unknown || error.to_string().contains("--allow-files"), "{error}");
}

#[test]
fn operations_access_only_allowed_files() {
    for row in rows() {
        let (_guard, inside, outside) = folders();
        let before = contents(&outside);
        let access = FileAccess::nothing().allow_write(&inside);
        refused(&row, &outside.join(row.file), &access);
        refused(&row, &inside.join("../outside").join(row.file), &access);
        refused(&row, &inside.join(row.file), &FileAccess::nothing());
        let reads = FileAccess::nothing().allow_read(&inside);
        match row.writes {
            true => refused(&row, &inside.join(row.file), &reads),
            false => ask(&row, &inside.join(row.file), &reads)
                .unwrap_or_else(|error| panic!("{:?}: {}", row.op_types, error.chain())),
        }
        assert_eq!(contents(&outside), before, "{:?}", row.op_types);
        ask(&row, &inside.join(row.file), &access)
            .unwrap_or_else(|error| panic!("{:?}: {}", row.op_types, error.chain()));
    }
}

#[test]
fn links_do_not_lead_out_of_the_folder() {
    for row in rows() {
        for link in row.links {
            let (_guard, inside, outside) = folders();
            let before = contents(&outside);
            let place = inside.join(link);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            if place.exists() {
                fs::remove_file(&place).unwrap();
            }
            symlink(outside.join(link), &place).unwrap();
            let access = FileAccess::nothing().allow_write(&inside);
            if row.follows_no_links {
                ask(&row, &inside.join(row.file), &access).unwrap();
            } else {
                refused(&row, &inside.join(row.file), &access);
            }
            assert_eq!(contents(&outside), before, "{:?}: {link}", row.op_types);
            if !row.writes {
                ask(&row, &inside.join(row.file), &FileAccess::everything()).unwrap();
            }
        }
    }
}

#[test]
fn every_op_type_that_accesses_files_has_a_row() {
    let rows = rows();
    let covered: Vec<&str> = rows.iter().flat_map(|row| row.op_types).copied().collect();
    let declared: Vec<&str> =
        library().iter().map(|def| def.name()).filter(|name| embedded_engine::accesses_files(name)).collect();
    let without: Vec<&&str> = declared.iter().filter(|name| !covered.contains(name)).collect();
    assert!(without.is_empty(), "no row for {without:?}");
    let undeclared: Vec<&&str> = covered.iter().filter(|name| !declared.contains(name)).collect();
    assert!(undeclared.is_empty(), "{undeclared:?} do not declare that they access files");
}

/// The files of the kernels that open files: a new one is listed here when its op types have rows.
const OPENS_FILES: [&str; 8] = [
    "control_flow/printing.rs",
    "data/cache.rs",
    "data/readers/source.rs",
    "data/reduce.rs",
    "io/files.rs",
    "io/format.rs",
    "io/saving.rs",
    "tables.rs",
];

#[test]
fn only_listed_kernels_open_files_and_each_asks_first() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { sources(&path, found) } else { found.push(path) }
        }
    }
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels");
    let mut files = Vec::new();
    sources(&kernels, &mut files);
    let mut opening = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        if !["std::fs", "BundleReader::open", "BundleWriter::create"].iter().any(|part| text.contains(part)) {
            continue;
        }
        assert!(text.contains("check_read(") || text.contains("check_write("), "{}", file.display());
        opening.push(file.strip_prefix(&kernels).unwrap().to_str().unwrap().to_owned());
    }
    opening.sort();
    assert_eq!(opening, OPENS_FILES);
}
