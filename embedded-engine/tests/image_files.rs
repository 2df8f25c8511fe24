//! Files of pictures that are damaged, or claim sizes that they do not have, are errors; what is encoded is decoded again.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::image::{
    decode_gif, decode_image, decode_jpeg, decode_png, encode_jpeg, encode_png, extract_jpeg_shape,
};
use ops::{array, library};
use serde_json::Value;
use session_core::{
    Code, DType, Engine, Graph, OpLibrary as _, Output, PartialShape, Result, SessionConfig, SessionExt,
    Tensor,
};
use std::path::Path;

fn run(build: impl Fn(&Output) -> Output, file: &[u8]) -> Result<Tensor> {
    let graph = Graph::new();
    let contents = array::placeholder(&graph, DType::String, PartialShape::scalar());
    let image = build(&contents);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1))?;
    session.run(&image, [(&contents, Tensor::string(file.to_vec()))])
}

/// The files among the inputs of the recorded cases, each once.
fn files() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/images.json.gz");
    let reader = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let cases: Value = serde_json::from_reader(reader).unwrap();
    let contents = |case: &Value| case["inputs"][0]["strings"][0].as_str().map(str::to_owned);
    let mut files: Vec<String> = cases.as_array().unwrap().iter().filter_map(contents).collect();
    files.sort();
    files.dedup();
    let byte = |file: &str, at: usize| u8::from_str_radix(&file[at..at + 2], 16).unwrap();
    files.iter().map(|file| (0..file.len()).step_by(2).map(|at| byte(file, at)).collect()).collect()
}

#[test]
fn damaged_files_are_errors_or_pictures() {
    let decoders: [fn(&Output) -> Output; 3] = [
        |contents| decode_image(contents, 0),
        |contents| decode_gif(contents),
        |contents| extract_jpeg_shape(contents),
    ];
    let graph = Graph::new();
    let contents = array::placeholder(&graph, DType::String, PartialShape::scalar());
    let images = decoders.map(|decode| decode(&contents));
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    let mut seen = 0;
    for file in files() {
        let shortened = (0..file.len()).step_by(file.len() / 12 + 1).map(|length| file[..length].to_vec());
        let changed = (0..file.len()).step_by(file.len() / 40 + 1).map(|at| {
            let mut changed = file.clone();
            changed[at] ^= 0x5a;
            changed
        });
        for damaged in shortened.chain(changed) {
            for image in &images {
                let outcome = session.run(image, [(&contents, Tensor::string(damaged.clone()))]);
                if let Err(error) = outcome {
                    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 3000);
}

#[test]
fn small_files_do_not_request_much_memory() {
    let all = files();
    let of =
        |start: &[u8]| all.iter().find(|file| file.starts_with(start) && file.len() > 100).unwrap().clone();
    let mut png = of(b"\x89PNG");
    png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let mut jpeg = of(b"\xff\xd8");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut gif = of(b"GIF");
    gif[6..10].fill(0xff);
    let frame = gif.iter().rposition(|&byte| byte == 0x2c).unwrap();
    gif[frame + 5..frame + 9].fill(0xff);
    let mut bmp = of(b"BM");
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    for file in [png, jpeg, bmp] {
        let error = run(|contents| decode_image(contents, 0), &file).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    let _ = run(|contents| decode_gif(contents), &gif);
}

#[test]
fn encoding_and_decoding_round_trip() {
    let pixels: Vec<u8> = (0..20 * 30 * 3).map(|at| (at * at / 7 % 256) as u8).collect();
    let wide: Vec<u16> = (0..4 * 5 * 2).map(|at| (at * 997) as u16).collect();
    let graph = Graph::new();
    let (pixels, wide) =
        (Tensor::from_vec(pixels, [2, 10, 30, 3]).unwrap(), Tensor::from_vec(wide, [4, 5, 2]).unwrap());
    let smooth =
        Tensor::from_vec((0..24 * 32 * 3).map(|at| (at / 3 % 32 * 4) as u8).collect(), [24, 32, 3]).unwrap();
    let files = encode_png(array::constant(&graph, pixels.clone()));
    let file = encode_png(array::constant(&graph, wide.clone()));
    let jpeg = encode_jpeg(array::constant(&graph, smooth.clone()), 95);
    let second = decode_png(array::strided_slice(&files, &[1.into()]), 0);
    let words = graph
        .op(library().find("DecodePng").unwrap())
        .input(&file)
        .attr("dtype", DType::UInt16)
        .finish_output();
    let (decoded, sizes) = (decode_jpeg(&jpeg, 0), extract_jpeg_shape(&jpeg));
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    let (second, words, decoded, sizes) = session.run((&second, &words, &decoded, &sizes), ()).unwrap();
    assert_eq!(second.as_slice::<u8>().unwrap(), &pixels.as_slice::<u8>().unwrap()[10 * 30 * 3..]);
    assert_eq!(words, wide);
    assert_eq!(sizes, Tensor::from([24i32, 32, 3]));
    let far = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 6;
    let pairs = decoded.as_slice::<u8>().unwrap().iter().zip(smooth.as_slice::<u8>().unwrap());
    assert_eq!(pairs.filter(|pair| far(*pair)).count(), 0);
}
