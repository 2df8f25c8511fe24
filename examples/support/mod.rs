//! Shared parts of the examples: the data set and a command line.
#![allow(dead_code)] // each example uses a part

pub(crate) mod model;
pub(crate) mod perceptron;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use monitored_session::prelude::*;
use monitored_session::summary::example::Example;
use monitored_session::summary::record::RecordWriter;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// The UCI handwritten digits: 8x8 gray images of 1,797 digits, 16 shades.
const DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");

/// Images as rows of 64 numbers in [0, 1], with their classes.
pub(crate) struct Digits {
    pub(crate) images: Vec<f32>,
    pub(crate) labels: Vec<i32>,
}

pub(crate) const PIXELS: usize = 64;
/// The number of rows kept for testing, from a fixed shuffle of the whole set.
const TEST_ROWS: usize = 360;

impl Digits {
    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns these rows as tensors `[rows, 64]` and `[rows]`.
    pub(crate) fn batch(&self, rows: &[usize]) -> Result<(Tensor, Tensor)> {
        let mut images = Vec::with_capacity(rows.len() * PIXELS);
        rows.iter().for_each(|&row| images.extend_from_slice(&self.images[row * PIXELS..(row + 1) * PIXELS]));
        let labels: Vec<i32> = rows.iter().map(|&row| self.labels[row]).collect();
        Ok((Tensor::from_vec(images, [rows.len(), PIXELS])?, Tensor::from(labels)))
    }

    pub(crate) fn all(&self) -> Result<(Tensor, Tensor)> {
        self.batch(&(0..self.rows()).collect::<Vec<_>>())
    }

    /// Returns the batch of a step: rows of a permutation that is computed from the seed for each epoch. It depends only on the step,
    /// so a resumed run sees the same batches as an uninterrupted one.
    pub(crate) fn batch_of_step(&self, seed: u64, step: usize, size: usize) -> Result<(Tensor, Tensor)> {
        let per_epoch = self.rows() / size;
        let order = permutation(self.rows(), seed.wrapping_add((step / per_epoch) as u64 + 1));
        let first = step % per_epoch * size;
        self.batch(&order[first..first + size])
    }
}

/// Returns the training and the test part.
pub(crate) fn digits() -> std::result::Result<(Digits, Digits), Box<dyn Error>> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for line in BufReader::new(GzDecoder::new(DIGITS)).lines() {
        let numbers: Vec<f32> =
            line?.split(',').map(|text| text.trim().parse()).collect::<std::result::Result<_, _>>()?;
        let (label, pixels) = numbers.split_last().ok_or("an empty line in the data set")?;
        images.extend(pixels.iter().map(|pixel| pixel / 16.0));
        labels.push(*label as i32);
    }
    let all = Digits { images, labels };
    let order = permutation(all.rows(), 0);
    let (test, train) = order.split_at(TEST_ROWS);
    let part = |rows: &[usize]| Digits {
        images: rows.iter().flat_map(|&row| all.images[row * PIXELS..(row + 1) * PIXELS].to_vec()).collect(),
        labels: rows.iter().map(|&row| all.labels[row]).collect(),
    };
    Ok((part(train), part(test)))
}

/// The number of record files.
pub(crate) const FILES: usize = 4;

/// Writes the images and labels to a few files, unless they exist.
pub(crate) fn write_records(dir: &Path, data: &Digits) -> std::result::Result<Vec<PathBuf>, Box<dyn Error>> {
    write_shards(dir, data, "tfrecord", |shard, records| Ok(shard.write_all(records)?))
}

/// Works as [`write_records`], with files that are compressed by gzip.
pub(crate) fn write_gzip_records(
    dir: &Path,
    data: &Digits,
) -> std::result::Result<Vec<PathBuf>, Box<dyn Error>> {
    write_shards(dir, data, "tfrecord.gz", |shard, records| {
        let mut encoder = GzEncoder::new(shard, Compression::default());
        encoder.write_all(records)?;
        encoder.finish()?;
        Ok(())
    })
}

fn write_shards(
    dir: &Path,
    data: &Digits,
    extension: &str,
    write: impl Fn(&mut File, &[u8]) -> std::result::Result<(), Box<dyn Error>>,
) -> std::result::Result<Vec<PathBuf>, Box<dyn Error>> {
    let rows: Vec<usize> = (0..data.rows()).collect();
    let mut paths = Vec::new();
    for (index, rows) in rows.chunks(data.rows().div_ceil(FILES)).enumerate() {
        let path = dir.join(format!("digits-{index}.{extension}"));
        if !path.exists() {
            let mut records = RecordWriter::new(Vec::new());
            for &row in rows {
                let image = &data.images[row * PIXELS..(row + 1) * PIXELS];
                let example =
                    Example::new().with("image", image).with("label", [i64::from(data.labels[row])]);
                records.write(&example.encode())?;
            }
            let part = path.with_extension("part");
            write(&mut File::create(&part)?, &records.into_inner())?;
            // The name appears only once the content is complete.
            std::fs::rename(part, &path)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Returns a permutation of `0..n` that the seed determines.
pub(crate) fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (next() % (i as u64 + 1)) as usize);
    }
    order
}

/// The command line: `--steps N --dir D --seed S`, all optional.
pub(crate) struct Args {
    pub(crate) steps: i64,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) seed: u64,
}

impl Args {
    pub(crate) fn parse(steps: i64) -> std::result::Result<Args, Box<dyn Error>> {
        let mut args = Args { steps, dir: None, seed: 1 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                println!("options: --steps N, --dir D (a folder to keep and to resume from), --seed S");
                std::process::exit(0);
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--steps" => {
                    args.steps = value.parse().map_err(|_| format!("--steps {value}: not a number"))?
                }
                "--dir" => args.dir = Some(PathBuf::from(value)),
                "--seed" => args.seed = value.parse().map_err(|_| format!("--seed {value}: not a number"))?,
                other => {
                    return Err(
                        format!("unknown option {other}; there are --steps N, --dir D, --seed S").into()
                    );
                }
            }
        }
        Ok(args)
    }
}
