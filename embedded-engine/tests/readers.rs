//! Readers and files. The expected values are those that TensorFlow 2.21 returns for the same files.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use flate2::write::{GzEncoder, ZlibEncoder};
use ops::array::constant;
use ops::data_flow::FifoQueue;
use ops::io::{Compression, Reader, matching_files, read_file, write_file};
use session_core::{
    Code, DType, Engine, Error, Graph, Output, PartialShape, RunOptions, Session, SessionConfig, SessionExt,
    Tensor,
};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::record::RecordWriter;
use tempfile::TempDir;

fn records(contents: &[&[u8]]) -> Vec<u8> {
    let mut writer = RecordWriter::new(Vec::new());
    contents.iter().for_each(|record| writer.write(record).unwrap());
    writer.into_inner()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("a.txt", b"one\ntwo\r\nthree\rx\n\nlast");
    write("b.txt", b"h\nb1\nb2\n");
    write("e.txt", b"");
    write("f.bin", b"HHaaabbbcccdFF");
    write("g.bin", b"HHabcFF");
    let whole = records(&[b"one", b"", b"three"]);
    write("r.rec", &whole);
    write("short.rec", &whole[..whole.len() - 3]);
    write("more.rec", &[&whole[..], b"abc"].concat());
    let mut damaged = whole.clone();
    damaged[19 + 16 + 13] ^= 1;
    write("bad.rec", &damaged);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).unwrap();
    write("r.gz", &gzip.finish().unwrap());
    let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&whole).unwrap();
    write("r.zlib", &zlib.finish().unwrap());
    folder
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap()
}

/// The results of reads up to the end: `key=value` with the folder left out of keys, `|` between those of one read; then the
/// counts of records and files, and the error.
fn read(
    make: impl Fn(&Graph) -> Reader,
    folder: &Path,
    files: &[&str],
    up_to: Option<usize>,
) -> (Vec<String>, [i64; 2], Error) {
    let graph = Graph::new();
    let queue =
        FifoQueue::new(&graph.named("files"), 20, DType::String).shapes([PartialShape::scalar()]).build();
    let names = files.iter().map(|file| folder.join(file).to_str().unwrap().to_owned().into_bytes());
    let fill = queue.enqueue_many(Tensor::from_strings(names, [files.len()]).unwrap());
    let close = queue.close();
    let reader = make(&graph);
    let (keys, values) = match up_to {
        Some(count) => reader.read_up_to(&queue, count),
        None => reader.read(&queue),
    };
    let counts = [reader.num_records_produced(), reader.num_work_units_completed()];
    graph.finalize().unwrap();
    let session = session(&graph);
    session.run(&fill, ()).unwrap();
    session.run(&close, ()).unwrap();
    let mut found = Vec::new();
    loop {
        match session.run((&keys, &values), ()) {
            Ok((keys, values)) => {
                let pairs = keys.as_strings().unwrap().iter().zip(values.as_strings().unwrap());
                let prefix = format!("{}/", folder.display());
                let pair = |(key, value): (&tensor::Bytes, &tensor::Bytes)| {
                    let key = String::from_utf8_lossy(key);
                    format!("{}={}", key.strip_prefix(&prefix).unwrap(), value.escape_ascii())
                };
                found.push(pairs.map(pair).collect::<Vec<_>>().join("|"));
            }
            Err(error) => {
                let counts = counts
                    .each_ref()
                    .map(|count: &Output| session.run(count, ()).unwrap().value::<i64>().unwrap());
                return (found, counts, error);
            }
        }
    }
}

/// Reads that end with the input.
fn check(
    make: impl Fn(&Graph) -> Reader,
    files: &[&str],
    up_to: Option<usize>,
    expected: &[&str],
    counts: [i64; 2],
) {
    let folder = folder();
    let (found, counted, error) = read(make, folder.path(), files, up_to);
    assert_eq!(found, expected);
    assert_eq!(counted, counts);
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
    assert!(error.message().contains("FIFOQueue 'files'"), "{error}");
}

#[test]
fn lines_of_text_are_read_in_order() {
    let make = |graph: &Graph| Reader::text_line(graph, 0);
    let a = ["a.txt:1=one", "a.txt:2=two", "a.txt:3=three\\rx", "a.txt:4=", "a.txt:5=last"];
    let b = ["b.txt:1=h", "b.txt:2=b1", "b.txt:3=b2"];
    check(make, &["a.txt", "e.txt", "b.txt"], None, &[&a[..], &b[..]].concat(), [8, 3]);
    check(make, &[], None, &[], [0, 0]);
    let parts = [a[..3].join("|"), a[3..].join("|"), b.join("|")];
    check(make, &["a.txt", "b.txt"], Some(3), &parts.each_ref().map(String::as_str), [8, 2]);
    let skipping = |graph: &Graph| Reader::text_line(graph, 1);
    check(skipping, &["b.txt", "e.txt", "b.txt"], None, &[b[1], b[2], b[1], b[2]], [4, 3]);
    check(|graph| Reader::text_line(graph, 9), &["b.txt", "b.txt"], None, &[], [0, 2]);
}

#[test]
fn whole_files_and_names_are_read() {
    let expected = ["b.txt=h\\nb1\\nb2\\n", "e.txt="];
    check(Reader::whole_file, &["b.txt", "e.txt"], None, &expected, [2, 2]);
    check(Reader::whole_file, &["b.txt", "e.txt"], Some(5), &expected, [2, 2]);
    let folder = folder();
    let (found, counts, _) = read(Reader::identity, folder.path(), &["x", "y"], Some(2));
    let path = |name: &str| format!("{name}={}", folder.path().join(name).display());
    assert_eq!((found, counts), (vec![path("x"), path("y")], [2, 2]));
}

#[test]
fn records_of_one_length_are_read() {
    let make = |graph: &Graph| Reader::fixed_length_record(graph, 3, 2, 2);
    let (f, g) = (["f.bin:0=aaa", "f.bin:1=bbb", "f.bin:2=ccc"], "g.bin:0=abc");
    check(make, &["g.bin", "f.bin"], None, &[g, f[0], f[1], f[2]], [4, 2]);
    check(make, &["f.bin", "g.bin"], Some(2), &["f.bin:0=aaa|f.bin:1=bbb", f[2], g], [4, 2]);
}

#[test]
fn plain_and_compressed_tf_records_are_read() {
    for (file, compression) in
        [("r.rec", Compression::None), ("r.gz", Compression::Gzip), ("r.zlib", Compression::Zlib)]
    {
        let expected: [String; 3] = ["0=one", "19=", "35=three"].map(|record| format!("{file}:{record}"));
        let expected = expected.each_ref().map(String::as_str);
        let make = move |graph: &Graph| Reader::tf_record(graph, compression);
        check(make, &[file, "e.txt", file], None, &[expected, expected].concat(), [6, 3]);
        let parts = [expected[..2].join("|"), expected[2].to_owned()];
        check(make, &[file], Some(2), &parts.each_ref().map(String::as_str), [3, 1]);
    }
    // Less than a header at the end counts as the end.
    check(
        |graph| Reader::tf_record(graph, Compression::None),
        &["more.rec"],
        None,
        &["more.rec:0=one", "more.rec:19=", "more.rec:35=three"],
        [3, 1],
    );
}

#[test]
fn damaged_and_missing_files_are_named_with_the_offset() {
    let folder = folder();
    let plain = |graph: &Graph| Reader::tf_record(graph, Compression::None);
    let packed = |graph: &Graph| Reader::tf_record(graph, Compression::Gzip);
    let failure = |make: &dyn Fn(&Graph) -> Reader, file: &str, up_to: Option<usize>| {
        let (found, _, error) = read(make, folder.path(), &[file], up_to);
        assert!(error.node().is_some_and(|node| node.starts_with("ReaderRead")), "{error}");
        let text = error.chain().to_string();
        assert!(text.contains(&folder.path().join(file).display().to_string()), "{text}");
        (found.len(), error.code(), text)
    };
    for up_to in [None, Some(10)] {
        let before = |count: usize| if up_to.is_some() { 1 } else { count };
        let (count, code, text) = failure(&plain, "bad.rec", up_to);
        assert_eq!((count, code), (before(2), Code::DataLoss), "{text}");
        assert!(text.contains("offset 35") && text.contains("corrupted data"), "{text}");
        let (count, code, text) = failure(&plain, "short.rec", up_to);
        assert_eq!((count, code), (before(2), Code::DataLoss), "{text}");
        assert!(text.contains("truncated record at offset 35"), "{text}");
    }
    let (_, code, text) = failure(&packed, "r.rec", None);
    assert_eq!(code, Code::DataLoss, "{text}");
    for make in
        [&plain as &dyn Fn(&Graph) -> Reader, &|graph| Reader::text_line(graph, 0), &Reader::whole_file]
    {
        assert_eq!(failure(make, "nope", None).1, Code::NotFound);
    }
}

#[test]
fn files_are_found_read_and_written() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let graph = Graph::new();
    let text = |text: String| constant(&graph, Tensor::from(text.as_str()));
    let patterns = Tensor::from_strings([path("*.txt"), path("[rs]*.rec")], [2]).unwrap();
    let found = matching_files(constant(&graph, patterns));
    let none = matching_files(text(path("nope*")));
    let content = read_file(text(path("b.txt")));
    let missing = read_file(text(path("nope")));
    let written = write_file(text(path("new/folder/x.txt")), text("hi".to_owned()));
    graph.finalize().unwrap();
    let session = session(&graph);
    let names = |tensor: Tensor| -> Vec<String> {
        tensor.as_strings().unwrap().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    let expected = ["a.txt", "b.txt", "e.txt", "r.rec", "short.rec"].map(path);
    assert_eq!(names(session.run(&found, ()).unwrap()), expected);
    assert!(names(session.run(&none, ()).unwrap()).is_empty());
    assert_eq!(names(session.run(&content, ()).unwrap()), ["h\nb1\nb2\n"]);
    // A file may change between two steps.
    fs::write(folder.path().join("b.txt"), "new").unwrap();
    assert_eq!(names(session.run(&content, ()).unwrap()), ["new"]);
    let error = session.run(&missing, ()).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("nope"), "{error}");
    session.run(&written, ()).unwrap();
    assert_eq!(fs::read_to_string(path("new/folder/x.txt")).unwrap(), "hi");
}

#[test]
fn a_step_fills_the_queue_of_names_that_it_reads_from() {
    let folder = folder();
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph, 4, DType::String).shapes([PartialShape::scalar()]).build();
    let (key, line) = Reader::text_line(&graph, 0).read(&queue);
    let empty = Reader::whole_file(&graph.named("whole")).read(&queue).1;
    let names = ["e.txt", "b.txt"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    // Made after the read, and so after it in the order of the step.
    let fill = queue.enqueue_many(Tensor::from_strings(names, [2]).unwrap());
    let session = session(&graph);
    let options = RunOptions::with_timeout(Duration::from_secs(60));
    let (line, key, _) = session.run_with((&line, &key, &fill), (), &options, None).unwrap();
    assert_eq!(line, Tensor::from("h"));
    assert!(String::from_utf8_lossy(&key.as_strings().unwrap()[0]).ends_with("b.txt:1"));

    let end = RunOptions::with_timeout(Duration::from_millis(20));
    let error = session.run_with(&empty, (), &end, None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(error.message().contains("reader 'whole': dequeue of 1 element from FIFOQueue"), "{error}");
}
