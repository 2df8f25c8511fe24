//! The devices of a session: processors, all of them this process.

use session_core::{Code, Error, Operation, Result, SessionConfig};

/// The devices of the engine, and the placement of operations that request others.
pub(crate) struct Devices {
    /// The number of devices `CPU:0`, `CPU:1`, and so on.
    processors: u32,
    /// True if what asks for another one runs all the same.
    soft: bool,
    /// True to log where operations run.
    log: bool,
}

impl Devices {
    pub(crate) fn new(config: &SessionConfig) -> Result<Devices> {
        let processors = config.device_count.get("CPU").copied().unwrap_or(1);
        let processors = u32::try_from(processors).ok().filter(|&count| count > 0);
        let processors = processors.ok_or_else(|| {
            let text = "No CPU devices are available in this process: device_count must give CPU at least 1";
            Error::new(Code::NotFound, text)
        })?;
        // Counts of other kinds are the most that may be used, which none is.
        Ok(Devices { processors, soft: config.allow_soft_placement, log: config.log_device_placement })
    }

    /// Looks for the device that an operation asks for.
    pub(crate) fn place(&self, operation: &Operation) -> Result<()> {
        if self.soft && !self.log {
            return Ok(());
        }
        let index = self.index(operation.device());
        if index.is_none() && !self.soft {
            let last = self.processors - 1;
            let devices = if last == 0 { "CPU:0".to_owned() } else { format!("CPU:0 to CPU:{last}") };
            let text = format!(
                "Cannot assign a device for operation {}: it was explicitly assigned to {} but the embedded engine has \
                 /job:localhost/replica:0/task:0/device:{devices}. Make sure the device specification refers to a valid \
                 device, or allow soft placement",
                operation.name(),
                operation.device(),
            );
            return Err(Error::invalid_argument(text));
        }
        if self.log {
            log::info!(
                "{}: ({}): /job:localhost/replica:0/task:0/device:CPU:{}",
                operation.name(),
                operation.op_type(),
                index.unwrap_or(0)
            );
        }
        Ok(())
    }

    /// Returns the number of the processor that a specification such as `/job:localhost/device:CPU:0` means,
    /// if there is one.
    fn index(&self, specification: &str) -> Option<u32> {
        let mut index = 0;
        for part in specification.split('/').filter(|part| !part.is_empty()) {
            let (kind, value) = part.split_once(':')?;
            match kind {
                "job" if value == "localhost" => {}
                "replica" | "task" if value == "0" || value == "*" => {}
                "job" | "replica" | "task" => return None,
                "device" => index = self.processor(value.split_once(':')?)?,
                _ => index = self.processor((kind, value))?,
            }
        }
        Some(index)
    }

    fn processor(&self, (kind, number): (&str, &str)) -> Option<u32> {
        if kind != "*" && !kind.eq_ignore_ascii_case("cpu") {
            return None;
        }
        let number = if number == "*" { 0 } else { number.parse().ok()? };
        (number < self.processors).then_some(number)
    }
}
