//! The dataset rows of W3: pipelines of which a step takes a batch and sums it, and the cost of continuing from a checkpoint.

use crate::support::{emit, labels, rounds, splitmix, status_mb, threads, uniform};
use crate::{BATCH, PIXELS, RECORDS, decoded, specs};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use monitored_session::dataset::{Compression, Dataset, Remainder};
use monitored_session::ops::array::constant;
use monitored_session::ops::math::{add, cast, reduce_sum};
use monitored_session::ops::parsing::parse_example;
use monitored_session::prelude::*;
use monitored_session::session_core::OutputInfo;
use monitored_session::session_core::keys::TABLE_INITIALIZERS;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter, copy};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const SHUFFLED: u64 = 5000;

/// The floats of a row of 64 KiB.
const ROW: usize = 16 * 1024;

/// The number of rows that are generated.
const ROWS: usize = 512;

fn info(dtype: DType, shape: &[usize]) -> OutputInfo {
    OutputInfo { dtype, shape: PartialShape::from(shape), is_ref: false }
}

/// Parsed batches out of a file of records.
fn records(graph: &Graph, path: &Path, compression: Compression) -> Dataset {
    Dataset::tf_record(graph, &[path.to_str().unwrap()], compression)
        .repeat(None)
        .shuffle(SHUFFLED, Some(1))
        .batch(BATCH as u64, Remainder::Drop)
        .parallel_map(2, |_, records| {
            decoded(&parse_example(&records[0], &specs()), &[-1, PIXELS as i64]).to_vec()
        })
        .prefetch(2)
}

/// Batches of rows of tensors.
fn slices(graph: &Graph) -> Dataset {
    let images = Tensor::from_vec(uniform(5, RECORDS / 4 * PIXELS), [RECORDS / 4, PIXELS]).unwrap();
    let labels = Tensor::from(labels(6, RECORDS / 4, 10));
    Dataset::from_tensor_slices(graph, [constant(graph, images), constant(graph, labels)])
        .shuffle(SHUFFLED, Some(1))
        .repeat(None)
        .batch(BATCH as u64, Remainder::Drop)
        .prefetch(2)
}

/// Numbers through a trivial function, in batches of 1000.
fn mapped(graph: &Graph) -> Dataset {
    Dataset::range(graph, 0, 1_000_000, 1)
        .repeat(None)
        .map(|_, x| vec![&x[0] + 1i64])
        .batch(1000, Remainder::Drop)
        .prefetch(2)
}

fn large_rows() -> Arc<Vec<Tensor>> {
    let row = |row: usize| {
        let values = (0..ROW as u64).map(|i| (splitmix(7, (row * ROW) as u64 + i) >> 40) as f32);
        Tensor::from_vec(values.collect::<Vec<f32>>(), [ROW]).unwrap()
    };
    Arc::new((0..ROWS).map(row).collect())
}

/// Batches of rows that the program has in memory.
fn rows(graph: &Graph, data: &Arc<Vec<Tensor>>) -> Dataset {
    let data = data.clone();
    let row = move |index: u64| Ok(vec![data[index as usize].clone()]);
    Dataset::from_rows(graph, ROWS as u64, [info(DType::Float32, &[ROW])], row)
        .repeat(None)
        .batch(BATCH as u64, Remainder::Drop)
}

fn session_of(graph: &Graph) -> Result<Arc<dyn Session>> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(threads()))?;
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ())?;
    Ok(session)
}

/// Measures the elements per second that steps take; each step takes `batch` of them.
fn pipeline(row: &str, batch: usize, graph: &Graph, step: &Output) -> Result<()> {
    graph.finalize()?;
    let session = session_of(graph)?;
    let callable = session.make_callable(step, &[])?;
    let pump = |seconds: f64| -> Result<f64> {
        let (mut count, start) = (0, Instant::now());
        while start.elapsed().as_secs_f64() < seconds {
            callable.call(&[])?;
            count += batch;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    };
    pump(0.4)?;
    let runs = (0..rounds(5)).map(|_| pump(1.0)).collect::<Result<Vec<f64>>>()?;
    let extra = format!("\"rss_mb\": {:.0}", status_mb("VmRSS:"));
    emit(&format!("w3/ours/dataset/{row}"), "elements_per_s", "1/s", &runs, &extra);
    session.close()
}

/// The sum of all components of a batch, so that all data is used.
fn summed(dataset: &Dataset) -> Output {
    let components = dataset.make_initializable_iterator().get_next();
    let sums = components.iter().map(|values| cast(reduce_sum(values, ..), DType::Float32));
    sums.reduce(add).unwrap()
}

/// A batch of the same rows as a program without datasets makes it.
fn by_hand(data: &Arc<Vec<Tensor>>) -> Result<()> {
    let graph = Graph::new();
    let batch = monitored_session::ops::array::placeholder(&graph, DType::Float32, [BATCH, ROW]);
    let sum = reduce_sum(&batch, ..);
    graph.finalize()?;
    let session = session_of_nothing(&graph)?;
    let callable = session.make_callable(&sum, &[&batch])?;
    let (pool, mut next) = (monitored_session::tensor::BufferPool::new(), 0);
    let mut pump = |seconds: f64| -> Result<f64> {
        let (mut count, start) = (0, Instant::now());
        while start.elapsed().as_secs_f64() < seconds {
            let mut values = Tensor::from_pool::<f32>(&pool, [BATCH, ROW])?;
            if let Some(target) = values.as_mut_slice::<f32>() {
                for target in target.chunks_exact_mut(ROW) {
                    target.copy_from_slice(data[next].as_slice()?);
                    next = (next + 1) % ROWS;
                }
            }
            black_box(callable.call(&[values])?);
            count += BATCH;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    };
    pump(0.4)?;
    let runs = (0..rounds(5)).map(|_| pump(1.0)).collect::<Result<Vec<f64>>>()?;
    emit("w3/ours/by_hand/rows_64k", "elements_per_s", "1/s", &runs, "");
    Ok(())
}

fn session_of_nothing(graph: &Graph) -> Result<Arc<dyn Session>> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(threads()))
}

/// Measures the time from a new session to its first batch after a position.
fn restore(position: u64) -> Result<()> {
    const SIZE: u64 = 10;
    let build = |skipped: u64| {
        let graph = Graph::new();
        let row = |index: u64| Ok(vec![Tensor::scalar(index.cast_signed())]);
        let rows = Dataset::from_rows(&graph, 1_000_000, [info(DType::Int64, &[])], row);
        let next = rows.shuffle(SHUFFLED, Some(1)).repeat(None).skip(skipped).batch(SIZE, Remainder::Drop);
        let next = next.make_initializable_iterator().get_next().remove(0);
        graph.finalize().map(|()| (graph, next))
    };
    // The steps up to the position are skipped: they are not what is measured.
    let (graph, next) = build(position - SIZE)?;
    let session = session_of(&graph)?;
    session.run(&next, ())?;
    let state = session.export_state()?;
    let expected = session.run(&next, ())?;
    let once = || -> Result<f64> {
        let session = session_of(&graph)?;
        let start = Instant::now();
        session.import_state(&state)?;
        let found = session.run(&next, ())?;
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(found, expected);
        Ok(seconds * 1000.0)
    };
    once()?;
    let runs = (0..rounds(5)).map(|_| once()).collect::<Result<Vec<f64>>>()?;
    emit(&format!("w3/ours/dataset/restore/{position}"), "ms", "ms", &runs, "");
    Ok(())
}

/// Measures the rows whose names contain a text, out of a file of records.
pub(crate) fn measure(path: &Path, only: &str) -> Result<()> {
    let asked = |row: &str| format!("dataset/{row}").contains(only);
    if asked("tfrecord_plain") {
        let graph = Graph::new();
        let step = summed(&records(&graph, path, Compression::None));
        pipeline("tfrecord_plain", BATCH, &graph, &step)?;
    }
    if asked("tfrecord_gzip") {
        let compressed = path.with_extension("gz");
        let mut encoder =
            GzEncoder::new(BufWriter::new(File::create(&compressed).unwrap()), Level::default());
        copy(&mut BufReader::new(File::open(path).unwrap()), &mut encoder).unwrap();
        encoder.finish().unwrap().into_inner().unwrap();
        let graph = Graph::new();
        let step = summed(&records(&graph, &compressed, Compression::Gzip));
        pipeline("tfrecord_gzip", BATCH, &graph, &step)?;
    }
    if asked("slices") {
        let graph = Graph::new();
        let step = summed(&slices(&graph));
        pipeline("slices", BATCH, &graph, &step)?;
    }
    if asked("map") {
        let graph = Graph::new();
        let step = summed(&mapped(&graph));
        pipeline("map", 1000, &graph, &step)?;
    }
    if asked("rows_64k") {
        let data = large_rows();
        let graph = Graph::new();
        let step = summed(&rows(&graph, &data));
        pipeline("rows_64k", BATCH, &graph, &step)?;
        by_hand(&data)?;
    }
    if asked("restore") {
        [1_000, 1_000_000, 1_000_000_000].into_iter().try_for_each(restore)?;
    }
    Ok(())
}
