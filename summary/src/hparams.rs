//! The parameters a run was made with.

use crate::proto::{HParamEntry, HParamKind, HParamValue, HParamsPluginData, SessionStartInfo};
use crate::{PluginData, Summary, SummaryMetadata, Value};
use prost::Message;
use tensor::Tensor;

/// A parameter that a run was made with, such as its learning rate.
///
/// ```
/// use summary::HParam;
/// assert_eq!(HParam::from(0.5), HParam::Number(0.5));
/// assert_eq!(HParam::from("adam"), HParam::Text("adam".to_owned()));
/// assert_eq!(HParam::from(true), HParam::Flag(true));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum HParam {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A switch.
    Flag(bool),
}

impl HParam {
    /// Reads the parameters of a run out of the content of the plug-in `hparams`, as [`Summary::hparams`] and other programs
    /// write it. `None` for other content of this plug-in, and for bytes that are none.
    ///
    /// ```
    /// use summary::{HParam, Summary};
    /// let summary = Summary::hparams([("rate", HParam::from(0.01))], "", 1.7e9);
    /// let plugin = summary.values[0].metadata.as_ref().unwrap().plugin.as_ref().unwrap();
    /// let parameters = HParam::of_plugin_content(&plugin.content).unwrap();
    /// assert_eq!(parameters, [("rate".to_owned(), HParam::Number(0.01))]);
    /// ```
    #[must_use]
    pub fn of_plugin_content(content: &[u8]) -> Option<Vec<(String, HParam)>> {
        // The same content type serves other records of the plugin, which are no parameters.
        let start = HParamsPluginData::decode(content).ok()?.session_start_info?;
        let parameter = |entry: HParamEntry| {
            let value = match entry.value?.kind? {
                HParamKind::Number(number) => HParam::Number(number),
                HParamKind::Text(text) => HParam::Text(text),
                HParamKind::Flag(flag) => HParam::Flag(flag),
            };
            Some((entry.key, value))
        };
        Some(start.hparams.into_iter().filter_map(parameter).collect())
    }
}

impl From<f64> for HParam {
    fn from(number: f64) -> HParam {
        HParam::Number(number)
    }
}

impl From<&str> for HParam {
    fn from(text: &str) -> HParam {
        HParam::Text(text.to_owned())
    }
}

impl From<bool> for HParam {
    fn from(flag: bool) -> HParam {
        HParam::Flag(flag)
    }
}

impl Summary {
    /// Makes the hyperparameters of a run, which the viewer's plug-in `hparams` lists next to the run's numbers. Add
    /// it once, at the beginning.
    ///
    /// `group` names the runs that were made with the same parameters; an empty one makes the run a
    /// group of its own. `start_time` is in seconds since 1970.
    ///
    /// ```
    /// use summary::{HParam, Summary};
    /// let parameters = [("rate", HParam::from(0.01)), ("optimizer", "adam".into())];
    /// let summary = Summary::hparams(parameters, "", 1.7e9);
    /// assert_eq!(summary.values[0].plugin_name(), Some("hparams"));
    /// ```
    #[must_use]
    pub fn hparams<K: Into<String>>(
        parameters: impl IntoIterator<Item = (K, HParam)>,
        group: &str,
        start_time: f64,
    ) -> Summary {
        let entry = |(key, parameter): (K, HParam)| {
            let kind = match parameter {
                HParam::Number(number) => HParamKind::Number(number),
                HParam::Text(text) => HParamKind::Text(text),
                HParam::Flag(flag) => HParamKind::Flag(flag),
            };
            HParamEntry { key: key.into(), value: Some(HParamValue { kind: Some(kind) }) }
        };
        let start = SessionStartInfo {
            hparams: parameters.into_iter().map(entry).collect(),
            group_name: group.to_owned(),
            start_time_secs: start_time,
        };
        let content = HParamsPluginData { session_start_info: Some(start) }.encode_to_vec().into();
        let plugin = Some(PluginData { name: "hparams".to_owned(), content });
        // All is in the metadata, but a value must be something.
        let nothing = Value::tensor("_hparams_/session_start_info", &Tensor::scalar(0.0f32))
            .expect("a number can be stored");
        nothing.with_metadata(SummaryMetadata { plugin, ..SummaryMetadata::default() }).into()
    }
}
