//! A stand-alone training loop that can be stopped at any moment and resumes exactly where it was.
//!
//! `cargo run -p monitored-checkpoint --example resume_regression -- [FOLDER] [STEPS]`; run it again, or kill it and run
//! it again. The losses are those of a run that was never stopped.
#![allow(clippy::unwrap_used)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::print_stdout)] // a program for the terminal

use checkpoint::{
    RestoreOptions, RestoreTarget, Result, SaveOptions, SaveSource, Saver, SaverOptions, VariableSpec,
    sidecar,
};
use std::path::PathBuf;
use tensor::{DType, Tensor};

/// Fits `y = w x + b` to noisy points by stochastic gradient descent with momentum.
struct Regression {
    parameters: [f32; 2],
    momentum: [f32; 2],
}

impl Regression {
    fn train(&mut self, random: &mut u64) -> f32 {
        let x = uniform(random) * 2.0 - 1.0;
        let y = 3.0 * x - 1.0 + 0.1 * (uniform(random) - 0.5);
        let error = self.parameters[0] * x + self.parameters[1] - y;
        for (i, gradient) in [error * x, error].into_iter().enumerate() {
            self.momentum[i] = 0.9 * self.momentum[i] + gradient;
            self.parameters[i] -= 0.05 * self.momentum[i];
        }
        error * error
    }
}

fn uniform(random: &mut u64) -> f32 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*random >> 40) as f32 / 16_777_216.0
}

impl SaveSource for Regression {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![
            ("parameters".to_owned(), Tensor::from(self.parameters)),
            ("parameters/Momentum".to_owned(), Tensor::from(self.momentum)),
        ])
    }
}

impl RestoreTarget for Regression {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |name| VariableSpec::new(name, DType::Float32, Some([2].into()));
        vec![spec("parameters"), spec("parameters/Momentum")]
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
        for (name, tensor) in values {
            let into = if name == "parameters" { &mut self.parameters } else { &mut self.momentum };
            // Dtype and shape were compared with the specifications above.
            if let Ok(values) = tensor.as_slice::<f32>() {
                into.copy_from_slice(values);
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder =
        arguments.next().map_or_else(|| std::env::temp_dir().join("resume_regression"), PathBuf::from);
    let steps: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let saver = Saver::new(SaverOptions::new().max_to_keep(2).create_directory(true));
    let mut model = Regression { parameters: [0.0; 2], momentum: [0.0; 2] };

    let (mut step, mut random) = (0u64, 1u64);
    if let Some(report) = saver.restore_latest(&mut model, &folder, &RestoreOptions::new())? {
        println!("resuming from {}", report.prefix.display());
        if let Some(state) = report.session_state {
            (step, random) = sidecar::decode(&state)?;
        }
    }
    for _ in 0..steps {
        let loss = model.train(&mut random);
        step += 1;
        if step.is_multiple_of(50) {
            println!(
                "step {step}: loss {loss:.6}, w {:.4}, b {:.4}",
                model.parameters[0], model.parameters[1]
            );
            let options = SaveOptions::new().session_state(sidecar::encode(&(step, random))?);
            saver.save_in_background(&model, folder.join("model.ckpt"), Some(step as i64), options)?;
        }
    }
    saver.close()?;
    Ok(())
}
