//! Drives a headless Chromium by its DevTools protocol.

use serde_json::{Value as Json, json};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// How long anything may take before the browser counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(crate) struct Chrome {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    next: u64,
    /// Lines of the page's console, and its uncaught errors.
    pub(crate) console: Vec<String>,
    /// Requests to anything but the local machine.
    pub(crate) foreign: Vec<String>,
    _profile: tempfile::TempDir,
}

/// The browser's program: the one that `CHROMIUM` names, or one of the usual names in `PATH`.
pub(crate) fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return PathBuf::from(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let found = names
        .iter()
        .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()));
    found.expect("Chromium is needed: install it, or name it by the variable CHROMIUM")
}

impl Chrome {
    pub(crate) fn start() -> Chrome {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program());
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"])
            .args(["--no-proxy-server", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        let mut process = command.spawn().expect("Chromium starts");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split("DevTools listening on ").nth(1).map(|url| url.trim().to_owned()))
            .expect("Chromium says where it listens");
        // Its further output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(url.as_str(), stream).unwrap();
        let (console, foreign) = (Vec::new(), Vec::new());
        let session = String::new();
        let mut chrome = Chrome { process, socket, session, next: 0, console, foreign, _profile: profile };
        let target = chrome.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached =
            chrome.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        chrome.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chrome.call(&format!("{domain}.enable"), json!({}));
        }
        chrome
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Json) -> Json {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    fn read(&mut self) -> Json {
        let text = match self.socket.read().expect("Chromium answers in time") {
            Message::Text(text) => text,
            _ => return Json::Null,
        };
        let message: Json = serde_json::from_str(&text).unwrap();
        let parameters = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.consoleAPICalled") => self.console.push(parameters["args"].to_string()),
            Some("Runtime.exceptionThrown") => self.console.push(parameters["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => self.console.push(parameters["entry"].to_string()),
            Some("Network.requestWillBeSent") => {
                let url = parameters["request"]["url"].as_str().unwrap_or("");
                let local = ["http://127.0.0.1:", "data:", "blob:", "file:", "about:"];
                if !local.iter().any(|start| url.starts_with(start)) {
                    self.foreign.push(url.to_owned());
                }
            }
            _ => {}
        }
        message
    }

    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// The value of an expression, which may be a promise.
    pub(crate) fn eval(&mut self, expression: &str) -> Json {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        // A page that is being replaced has no context for a moment.
        let guarded =
            format!("(() => {{ try {{ return !!({expression}); }} catch (_) {{ return false; }} }})()");
        while self.eval(&guarded) != true {
            if begun.elapsed() > PATIENCE {
                let text = self.eval("document.body.innerText.slice(0, 2000)");
                panic!("never: {expression}; console: {:?}; the page: {text}", self.console);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let parameters =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", parameters);
    }

    /// `light` or `dark`, as the system would prefer it.
    pub(crate) fn scheme(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub(crate) fn mouse(&mut self, kind: &str, x: f64, y: f64, buttons: u32) {
        let button = if kind == "mouseMoved" && buttons == 0 { "none" } else { "left" };
        let parameters =
            json!({"type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1});
        self.call("Input.dispatchMouseEvent", parameters);
    }

    /// Presses a key, such as `Tab`, `ArrowRight` or `t`.
    pub(crate) fn key(&mut self, key: &str) {
        let codes =
            [("Tab", 9), ("Enter", 13), ("Escape", 27), ("ArrowLeft", 37), ("ArrowRight", 39), ("End", 35)];
        let code = codes.iter().find(|(known, _)| *known == key).map_or(0, |(_, code)| *code);
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            down["text"] = json!(key);
        } else if key == "Enter" {
            down["text"] = json!("\r");
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// Returns a picture of the visible page, as a PNG file.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let data = self.call("Page.captureScreenshot", json!({"format": "png"}));
        base64::engine::general_purpose::STANDARD.decode(data["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
