//! Samples of images and signals.

use super::math::rows;
use super::{Inputs, Sample, shaped};
use crate::image::*;
use crate::math::{complex, imag, real};
use crate::nn::{ResizeMethod, resize};
use crate::signal::*;
use session_core::{DType, Output};

fn pixels(i: &mut Inputs<'_>, shape: &[usize]) -> Output {
    let values = (0..shape.iter().product::<usize>()).map(|n| (n * 7 % 37) as f32 / 37.0).collect();
    i.other(shaped(values, shape))
}

const IMAGES: &[Sample] = rows! {
    "ResizeArea" but not_numerical => |i| { let x = pixels(i, &[1, 3, 4, 2]); [resize(x, [2, 5], ResizeMethod::Area)] };
    "ResizeBicubic" => |i| [resize(i.singles(&[1, 3, 4, 2]), [4, 5], ResizeMethod::Bicubic)];
    "ResizeBicubicGrad" but not_numerical => |i| {
        let (dy, x) = (pixels(i, &[1, 4, 4, 1]), pixels(i, &[1, 2, 2, 1]));
        [i.op("ResizeBicubicGrad").input(dy).input(x).finish_output()]
    };
    "ScaleAndTranslate" => |i| {
        let (size, scale, by) = (i.constant([4i32, 5]), i.constant([1.5f32, 0.75]), i.constant([0.5f32, -0.25]));
        [scale_and_translate(i.singles(&[1, 3, 4, 2]), size, scale, by, "triangle")]
    };
    "ScaleAndTranslateGrad" but not_numerical => |i| {
        let (dy, x) = (pixels(i, &[1, 4, 4, 1]), pixels(i, &[1, 2, 2, 1]));
        let builder = i.op("ScaleAndTranslateGrad").input(dy).input(x).constant([2.0f32, 2.0]);
        [builder.constant([0.0f32, 0.0]).finish_output()]
    };
    "ImageProjectiveTransformV2" but not_numerical => |i| {
        let x = pixels(i, &[1, 3, 4, 2]);
        let transform = i.constant(shaped(vec![1.0f32, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[1, 8]));
        let builder = i.op("ImageProjectiveTransformV2").input(x).input(transform).constant([3i32, 4]);
        [builder.attr("interpolation", "BILINEAR").finish_output()]
    };
    "ImageProjectiveTransformV3" but not_numerical => |i| {
        let x = pixels(i, &[1, 3, 4, 2]);
        let transform = i.constant(shaped(vec![1.0f32, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[1, 8]));
        let builder = i.op("ImageProjectiveTransformV3").input(x).input(transform).constant([3i32, 4]);
        [builder.constant(1.0f32).attr("interpolation", "NEAREST").finish_output()]
    };
    "FusedPadConv2D" but not_numerical => |i| {
        let (x, filter) = (pixels(i, &[1, 4, 5, 2]), pixels(i, &[3, 2, 2, 3]));
        let builder = i.op("FusedPadConv2D").input(x).constant(shaped(vec![0i32, 0, 1, 2, 2, 1, 0, 0], &[4, 2])).input(filter);
        let builder = builder.attr("mode", "REFLECT").attr("strides", vec![1i64, 2, 1, 1]).attr("padding", "VALID");
        [builder.finish_output()]
    };
    "FusedResizeAndPadConv2D" but not_numerical => |i| {
        let (x, filter) = (pixels(i, &[1, 3, 4, 2]), pixels(i, &[3, 3, 2, 2]));
        let builder = i.op("FusedResizeAndPadConv2D").input(x).constant([5i32, 7]);
        let builder = builder.constant(shaped(vec![0i32, 0, 1, 1, 2, 1, 0, 0], &[4, 2])).input(filter);
        let builder = builder.attr("mode", "SYMMETRIC").attr("strides", vec![1i64, 1, 1, 1]).attr("padding", "SAME");
        [builder.finish_output()]
    };
    "CropAndResize" but not_numerical => |i| {
        let boxes = i.given(shaped(vec![0.1f32, 0.2, 0.8, 0.7, 0.3, 0.0, 0.9, 0.45], &[2, 4]));
        let which = i.other([0i32, 1]);
        [crop_and_resize(i.singles(&[2, 4, 5, 2]), boxes, which, [3, 2])]
    };
    "CropAndResizeGradImage" but not_numerical => |i| {
        let (dy, boxes) = (pixels(i, &[1, 2, 2, 1]), i.constant(shaped(vec![0.1f32, 0.2, 0.8, 0.7], &[1, 4])));
        let builder = i.op("CropAndResizeGradImage").input(dy).input(boxes).constant([0i32]);
        [builder.constant([1i32, 3, 3, 1]).attr("T", DType::Float32).finish_output()]
    };
    "CropAndResizeGradBoxes" but not_numerical => |i| {
        let (dy, x) = (pixels(i, &[1, 2, 2, 1]), pixels(i, &[1, 3, 3, 1]));
        let boxes = i.constant(shaped(vec![0.1f32, 0.2, 0.8, 0.7], &[1, 4]));
        [i.op("CropAndResizeGradBoxes").input(dy).input(x).input(boxes).constant([0i32]).finish_output()]
    };
};

/// Returns the two parts of complex numbers.
fn parts(x: &Output) -> Vec<Output> {
    vec![real(x), imag(x)]
}

fn complexes(i: &mut Inputs<'_>, shape: &[usize]) -> Output {
    let (re, im) = (i.doubles(shape), i.doubles(shape));
    complex(re, im)
}

/// Returns a transform of real numbers with the lengths that it is given.
fn of_reals(i: &mut Inputs<'_>, op_type: &str, shape: &[usize], lengths: &[i32]) -> Vec<Output> {
    let x = i.doubles(shape);
    let builder = i.op(op_type).input(x).constant(lengths.to_vec());
    parts(&builder.attr("Tcomplex", DType::Complex128).finish_output())
}

fn to_reals(i: &mut Inputs<'_>, op_type: &str, shape: &[usize], lengths: &[i32]) -> Vec<Output> {
    let x = complexes(i, shape);
    let builder = i.op(op_type).input(x).constant(lengths.to_vec());
    vec![builder.attr("Treal", DType::Float64).finish_output()]
}

const SIGNALS: &[Sample] = rows! {
    "FFT" => |i| parts(&fft(complexes(i, &[2, 5])));
    "IFFT" => |i| parts(&ifft(complexes(i, &[2, 4])));
    "FFT2D" => |i| parts(&fft2d(complexes(i, &[2, 3, 4])));
    "IFFT2D" => |i| parts(&ifft2d(complexes(i, &[3, 2])));
    "FFT3D" => |i| { let x = complexes(i, &[2, 2, 3]); parts(&i.op("FFT3D").input(x).finish_output()) };
    "IFFT3D" => |i| { let x = complexes(i, &[2, 2, 3]); parts(&i.op("IFFT3D").input(x).finish_output()) };
    "RFFT" => |i| parts(&rfft(i.doubles(&[2, 6]), 6));
    "RFFT of an odd length" => |i| parts(&rfft(i.doubles(&[2, 5]), 5));
    "IRFFT" => |i| [irfft(complexes(i, &[2, 4]), 6)];
    "IRFFT of an odd length" => |i| [irfft(complexes(i, &[2, 3]), 5)];
    "RFFT2D" => |i| of_reals(i, "RFFT2D", &[2, 3, 4], &[3, 4]);
    "IRFFT2D" => |i| to_reals(i, "IRFFT2D", &[2, 4, 3], &[4, 5]);
    "RFFT3D" but not_numerical => |i| {
        let x = pixels(i, &[2, 3, 4]);
        parts(&i.op("RFFT3D").input(x).constant([2i32, 3, 4]).finish_output())
    };
    "IRFFT3D" but not_numerical => |i| {
        let x = pixels(i, &[2, 3, 3]);
        let x = complex(&x, &x);
        [i.op("IRFFT3D").input(x).constant([2i32, 3, 4]).finish_output()]
    };
    "EncodeWav" but not_numerical => |i| {
        let x = pixels(i, &[4, 2]);
        let file = encode_wav(x, i.constant(8000i32));
        vec![decode_wav(file).0]
    };
    "AudioSpectrogram" but not_numerical => |i| { let x = pixels(i, &[12, 2]); [audio_spectrogram(x, 4, 2)] };
    "Mfcc" but not_numerical => |i| {
        let x = pixels(i, &[1, 2, 129]);
        [mfcc(x, i.constant(16000i32), 5)]
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[IMAGES, SIGNALS];
