//! Feeds damaged and invented files to every reader for a while.
//!
//! `cargo run --release -p monitored-checkpoint --example fuzz_formats --features snappy -- [--seconds N] [--seed S] [TARGET ...]`,
//! where TARGET is `index`, `v1`, `state`, `sidecar` or `safetensors`; all in turn without one.
//!
//! Inputs are mutations of the fixtures. After a mutation checksums are mostly corrected, so that the
//! code behind them is reached. No input may cause a panic or an allocation that is out of proportion to it. A
//! finding ends the program with the seed of its input.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

#[path = "fuzz/campaign.rs"]
mod campaign;
#[path = "../tests/support/disk.rs"]
mod disk;

use campaign::mutate;
use checkpoint::bundle::{BundleReader, ReadOptions, TensorSlice};
use checkpoint::storage::Storage;
use checkpoint::{CheckpointReader, CheckpointState, index_path, sidecar_path};
use disk::{Disk, Random};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Puts an index together again around the blocks that it had, with right checksums and handles.
fn rebuild_index(original: &[u8], random: &mut Random) -> Vec<u8> {
    // The fixtures have one data block, an empty metaindex and an index, one after the other.
    let footer = original.len() - 48;
    let mut handles = &original[footer..];
    let mut varint = || {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = handles[0];
            handles = &handles[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value as usize;
            }
        }
    };
    let (meta_offset, _, index_offset, index_size) = (varint(), varint(), varint(), varint());
    let mut data = original[..meta_offset - 5].to_vec();
    let mut index = original[index_offset..index_offset + index_size].to_vec();
    if random.below(4) == 0 {
        mutate(&mut index, random)
    } else {
        mutate(&mut data, random)
    }
    let mut file = Vec::new();
    let mut append = |block: &[u8], file: &mut Vec<u8>| {
        let offset = file.len();
        let kind = if random.below(16) == 0 { 1 } else { 0 };
        file.extend_from_slice(block);
        file.push(kind);
        let crc = wire::crc::masked(&file[offset..]);
        file.extend_from_slice(&crc.to_le_bytes());
        (offset, block.len())
    };
    let put = |out: &mut Vec<u8>, mut value: usize| {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    };
    let block = append(&data, &mut file);
    let meta = append(&[0, 0, 0, 0, 1, 0, 0, 0], &mut file);
    // Usually the index names the data block as it is now.
    let mut entry = vec![0, 1, 0, 0xff];
    put(&mut entry, block.0);
    put(&mut entry, block.1);
    entry[2] = (entry.len() - 4) as u8;
    entry.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
    let index = append(
        if index[..] == original[index_offset..index_offset + index_size] { &entry } else { &index },
        &mut file,
    );
    let footer = file.len();
    for value in [meta.0, meta.1, index.0, index.1] {
        put(&mut file, value);
    }
    file.resize(footer + 40, 0);
    file.extend_from_slice(&0xdb47_7524_8b80_fb57u64.to_le_bytes());
    file
}

/// Everything a program may do with a bundle.
fn use_bundle(disk: &Disk, prefix: &Path, verify: bool) {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let options = ReadOptions::new().storage(storage).threads(1).verify(verify);
    let Ok(reader) = BundleReader::open_with(prefix, options) else { return };
    let _ = reader.verify();
    let _ = reader.read_all();
    for info in reader.entries().collect::<Vec<_>>() {
        let _ = reader.slices(&info.name);
        let _ = reader.read(&info.name);
    }
    let _ = reader.problems().count();
}

struct Corpus {
    bundles: Vec<(Disk, PathBuf, Vec<u8>)>,
    tables: Vec<Vec<u8>>,
    states: Vec<String>,
    sidecar: Vec<u8>,
    safetensors: Vec<u8>,
}

fn corpus() -> Corpus {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut bundles = Vec::new();
    for folder in
        ["tiny", "dtypes", "rare_dtypes", "merged", "partitioned", "partitioned_sharded", "strings", "shapes"]
    {
        let disk = Disk::default();
        let mut prefix = PathBuf::new();
        for entry in std::fs::read_dir(fixtures.join("tf_bundle").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let target = Path::new("d").join(path.file_name().unwrap());
            disk.put(&target, std::fs::read(&path).unwrap());
            if target.extension().is_some_and(|extension| extension == "index") {
                prefix = target.with_extension("");
            }
        }
        let index = disk.get(index_path(&prefix)).unwrap();
        bundles.push((disk, prefix, index));
    }
    let tables = ["plain.ckpt-7", "sharded.ckpt-7-00000-of-00002", "sharded.ckpt-7-00001-of-00002"];
    let tables = tables.map(|name| std::fs::read(fixtures.join("v1").join(name)).unwrap());
    let folders = std::fs::read_dir(fixtures.join("checkpoint_dirs")).unwrap();
    let states =
        folders.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("checkpoint")).ok());
    let disk = Disk::default();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let saver = checkpoint::Saver::new(checkpoint::SaverOptions::new().storage(Arc::clone(&storage)));
    let tensors = vec![("w".to_owned(), tensor::Tensor::from([1.0f32, 2.0]))];
    let state = checkpoint::sidecar::encode(&(1u64, vec!["a".to_owned()], Some([3u8; 4]))).unwrap();
    let options = checkpoint::SaveOptions::new().session_state(state);
    saver.save_with(&tensors, "d/m", None, options).unwrap();
    let options = checkpoint::safetensors::SafetensorsOptions::new().storage(storage).metadata("a", "b");
    checkpoint::safetensors::write_safetensors("d/m.safetensors", &tensors, &options).unwrap();
    Corpus {
        bundles,
        tables: tables.to_vec(),
        states: states.collect(),
        sidecar: disk.get(sidecar_path("d/m")).unwrap(),
        safetensors: disk.get("d/m.safetensors").unwrap(),
    }
}

fn fuzz_index(corpus: &Corpus, random: &mut Random) {
    let (disk, prefix, index) = &corpus.bundles[random.below(corpus.bundles.len())];
    let damaged = if random.below(4) == 0 {
        let mut damaged = index.clone();
        mutate(&mut damaged, random);
        damaged
    } else {
        rebuild_index(index, random)
    };
    disk.put(index_path(prefix), damaged);
    use_bundle(disk, prefix, random.below(2) == 0);
}

fn fuzz_v1(corpus: &Corpus, random: &mut Random) {
    let table = &corpus.tables[random.below(corpus.tables.len())];
    let damaged = if random.below(4) == 0 {
        let mut damaged = table.clone();
        mutate(&mut damaged, random);
        damaged
    } else {
        rebuild_index(table, random)
    };
    let disk = Disk::default();
    disk.put("d/m", damaged);
    let options = ReadOptions::new().storage(Arc::new(disk));
    let Ok(CheckpointReader::V1(reader)) = CheckpointReader::open_with("d/m", options) else { return };
    let _ = reader.verify();
    for info in reader.entries().collect::<Vec<_>>() {
        let first = TensorSlice::new(info.shape.iter().map(|_| (0, Some(1))));
        let _ = reader.read_slice(&info.name, &first);
    }
}

fn fuzz_state(corpus: &Corpus, random: &mut Random) {
    let mut text = corpus.states[random.below(corpus.states.len())].clone().into_bytes();
    mutate(&mut text, random);
    if let Ok(state) = CheckpointState::parse(&String::from_utf8_lossy(&text)) {
        let again = CheckpointState::parse(&state.to_text()).expect("what we write can be read");
        // NaN differs from itself, so texts are compared.
        assert_eq!(again.to_text(), state.to_text());
    }
}

fn fuzz_sidecar(corpus: &Corpus, random: &mut Random) {
    let mut file = corpus.sidecar.clone();
    mutate(&mut file, random);
    if random.below(4) != 0 && file.len() >= 24 {
        if file.len() >= 44 {
            let len = (file.len() - 44) as u64;
            file[16..24].copy_from_slice(&len.to_le_bytes());
        }
        let crc = wire::crc::masked(&file[16..]);
        file[12..16].copy_from_slice(&crc.to_le_bytes());
    }
    let (disk, prefix, index) = &corpus.bundles[0];
    disk.put(index_path(prefix), index.clone());
    disk.put(sidecar_path(prefix), file.clone());
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let _ = checkpoint::read_session_state_with(&storage, prefix);
    let payload = &file[file.len().min(44)..];
    let _ = checkpoint::sidecar::decode::<(u64, Vec<String>, Option<[u8; 4]>)>(payload);
}

fn fuzz_safetensors(corpus: &Corpus, random: &mut Random) {
    let mut file = corpus.safetensors.clone();
    mutate(&mut file, random);
    if random.below(2) == 0 && file.len() > 8 {
        // Let the header end where its last brace is.
        let end = file.iter().rposition(|&byte| byte == b'}').unwrap_or(8).max(8) as u64 - 7;
        file[..8].copy_from_slice(&end.to_le_bytes());
    }
    let disk = Disk::default();
    disk.put("d/m.safetensors", file);
    let options = ReadOptions::new().storage(Arc::new(disk)).threads(1);
    if let Ok(reader) = checkpoint::safetensors::SafetensorsReader::open_with("d/m.safetensors", options) {
        let _ = reader.read_all();
    }
}

fn main() {
    let all: [campaign::Target<Corpus>; 5] = [
        ("index", fuzz_index),
        ("v1", fuzz_v1),
        ("state", fuzz_state),
        ("sidecar", fuzz_sidecar),
        ("safetensors", fuzz_safetensors),
    ];
    campaign::run(&corpus(), &all);
}
