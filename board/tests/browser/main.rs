//! The page in a real browser: `cargo xtask board` runs these tests, which need Chromium.
//!
//! With `BOARD_SCREENSHOTS` naming a folder, pictures of the page are kept there; `BOARD_RUNS` names other runs to show in
//! them, `BOARD_SETUP` a script that the page runs before.
#![allow(clippy::unwrap_used)] // a test may

mod chrome;
#[path = "../support/mod.rs"]
mod support;

use board::{Board, Server};
use chrome::Chrome;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use summary::{EventAccumulator, EventWriter, Summary};

/// Serves a folder for as long as the process runs, and returns the address of the page.
fn serve(folder: &Path) -> String {
    let server =
        Server::bind(Board::open(&[folder]).unwrap(), 0).unwrap().interval(Duration::from_millis(100));
    let url = format!("http://{}/", server.address());
    std::thread::spawn(move || server.run());
    url
}

fn opened(folder: &Path, view: &str) -> Chrome {
    let mut chrome = Chrome::start();
    chrome.size(1280, 900);
    chrome.scheme("light");
    chrome.go(&format!("{}#{view}", serve(folder)));
    chrome.until("board.state?.loaded");
    chrome
}

/// Checks that the browser reported no errors, and that nothing was loaded from another origin.
#[track_caller]
fn quiet(chrome: &Chrome) {
    assert!(chrome.console.is_empty(), "{:#?}", chrome.console);
    assert!(chrome.foreign.is_empty(), "{:?}", chrome.foreign);
}

/// Steps and values of a run's curve in a chart of the page.
fn curve_of(chrome: &mut Chrome, tag: &str, run: &str) -> Vec<(i64, f64)> {
    let found =
        format!("board.charts.get({0})?.curves.find((curve) => curve.run === {1})", json!(tag), json!(run));
    chrome.until(&found);
    let points =
        chrome.eval(&format!("(({{steps, values}}) => steps.map((step, i) => [step, values[i]]))({found})"));
    let points = points.as_array().unwrap().iter();
    points.map(|point| (point[0].as_i64().unwrap(), point[1].as_f64().unwrap())).collect()
}

fn stored(folder: &Path, tag: &str) -> Vec<(i64, f64)> {
    let run = EventAccumulator::open(folder).unwrap();
    run.scalars(tag).iter().map(|point| (point.step, point.value)).collect()
}

/// The middle of an element.
fn middle(chrome: &mut Chrome, selector: &str) -> (f64, f64) {
    let place = chrome.eval(&format!(
        "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{block: 'center'}}); \
         const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
        json!(selector)
    ));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

fn click(chrome: &mut Chrome, selector: &str) {
    chrome.until(&format!("document.querySelector({})", json!(selector)));
    let (x, y) = middle(chrome, selector);
    chrome.mouse("mouseMoved", x, y, 0);
    chrome.mouse("mousePressed", x, y, 1);
    chrome.mouse("mouseReleased", x, y, 0);
}

/// Types into its own field, replacing what was there.
fn enter(chrome: &mut Chrome, selector: &str, text: &str) {
    chrome.eval(&format!(
        "(() => {{ const field = document.querySelector({}); field.focus(); field.select(); }})()",
        json!(selector)
    ));
    chrome.call("Input.insertText", json!({"text": text}));
    if text.is_empty() {
        chrome.eval(&format!(
            "(() => {{ const field = document.querySelector({}); field.value = ''; field.dispatchEvent(new Event('input')); }})()",
            json!(selector)
        ));
    }
}

const CARDS: &str = "[...document.querySelectorAll('.card[data-tag]')].map((card) => card.dataset.tag)";

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn curves_are_those_of_the_event_files() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let mut chrome = opened(folder.path(), "scalars");
    for run in ["adam", "sgd"] {
        for tag in ["train/loss", "train/accuracy"] {
            let expected = stored(&folder.path().join(run), tag);
            assert_eq!(expected.len(), 200);
            assert_eq!(curve_of(&mut chrome, tag, run), expected, "{run} {tag}");
        }
    }
    // The table of points and the files say the same.
    let table = "document.querySelector('[data-tag=\"train/loss\"] button[title=\"Table of points\"]')";
    chrome.eval(&format!("{table}.click()"));
    chrome.until("document.querySelectorAll('[data-tag=\"train/loss\"] tbody tr').length === 400");
    let csv = chrome.eval("board.charts.get('train/loss').csv()");
    let csv = csv.as_str().unwrap();
    let loss = stored(&folder.path().join("adam"), "train/loss");
    assert_eq!(csv.lines().next(), Some("run,step,wall_time,value"));
    let row = csv.lines().nth(1).unwrap().split(',').collect::<Vec<_>>();
    assert_eq!((row[0], row[1], row[3].parse::<f64>().unwrap()), ("adam", "1", loss[0].1));
    let svg = chrome.eval("board.charts.get('train/loss').svg()");
    assert!(svg.as_str().unwrap().starts_with("<svg") && svg.as_str().unwrap().matches("<path").count() >= 4);
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn charts_have_tooltips_zoom_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    support::numbers(&folder.path().join("long"), "train/loss", support::curve(20_000, 5));
    let mut chrome = opened(folder.path(), "scalars");
    curve_of(&mut chrome, "train/loss", "long");
    chrome.until("document.querySelector('[data-tag=\"train/loss\"] .note').textContent.includes('extremes of neighbors')");
    let plot = "[data-tag=\"train/loss\"] .u-over";
    let (x, y) = middle(&mut chrome, plot);
    chrome.mouse("mouseMoved", x - 60.0, y, 0);
    chrome.mouse("mouseMoved", x, y, 0);
    chrome.until("!document.querySelector('[data-tag=\"train/loss\"] .tip').hidden");
    let tip = chrome.eval("document.querySelector('[data-tag=\"train/loss\"] .tip').innerText");
    let tip = tip.as_str().unwrap().to_owned();
    assert!(["adam", "sgd", "long", "step", "value"].iter().all(|word| tip.contains(word)), "{tip}");
    // Dragging zooms, and what is zoomed into comes with all its points.
    chrome.mouse("mousePressed", x, y, 1);
    for step in 1..=10 {
        chrome.mouse("mouseMoved", x + f64::from(step), y, 1);
    }
    chrome.mouse("mouseReleased", x + 10.0, y, 0);
    chrome.until("board.charts.get('train/loss').range");
    chrome.until(
        "board.charts.get('train/loss').curves.find((curve) => curve.run === 'long').sampled === false",
    );
    let scale = chrome.eval("(({min, max}) => [min, max])(board.charts.get('train/loss').plot.scales.x)");
    let (from, to) = (scale[0].as_f64().unwrap(), scale[1].as_f64().unwrap());
    assert!(to - from < 1500.0, "{from} to {to}");
    let points = curve_of(&mut chrome, "train/loss", "long");
    let all = stored(&folder.path().join("long"), "train/loss");
    let inside = |points: &[(i64, f64)]| -> Vec<(i64, f64)> {
        points.iter().copied().filter(|(step, _)| (from..=to).contains(&(*step as f64))).collect()
    };
    assert_eq!(inside(&points), inside(&all));
    click(&mut chrome, "[data-tag=\"train/loss\"] .reset");
    chrome.until("board.charts.get('train/loss').range === null");
    // By keys: to a point, which is announced; in, out and back.
    chrome.eval("document.querySelector('[data-tag=\"train/accuracy\"] .plot').focus()");
    for _ in 0..3 {
        chrome.key("ArrowRight");
    }
    chrome.until("document.getElementById('announce').textContent.includes('adam: step 3,')");
    chrome.key("+");
    chrome.until("board.charts.get('train/accuracy').range");
    chrome.key("0");
    chrome.until("board.charts.get('train/accuracy').range === null");
    let label = chrome
        .eval("document.querySelector('[data-tag=\"train/accuracy\"] .plot').getAttribute('aria-label')");
    assert!(label.as_str().unwrap().contains("adam: 200 points"), "{label}");
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn filters_and_toggles_select_curves() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let mut chrome = opened(folder.path(), "scalars");
    chrome.until(&format!("{CARDS}.length === 3"));
    curve_of(&mut chrome, "train/loss", "sgd");
    // Tags.
    enter(&mut chrome, "#tag-filter", "loss$");
    chrome.until(&format!("JSON.stringify({CARDS}) === '[\"train/loss\"]'"));
    enter(&mut chrome, "#tag-filter", "[");
    chrome.until("document.querySelector('#tag-filter').getAttribute('aria-invalid') === 'true'");
    enter(&mut chrome, "#tag-filter", "");
    chrome.until(&format!("{CARDS}.length === 3"));
    // Runs: by expression, by their boxes, one only.
    enter(&mut chrome, "#run-filter", "^ad");
    chrome.until("board.charts.get('train/loss').curves.length === 1");
    enter(&mut chrome, "#run-filter", "");
    chrome.until("board.charts.get('train/loss').curves.length === 2");
    click(&mut chrome, "#runs input[data-run=adam]");
    chrome.until("board.charts.get('train/loss').curves.map((curve) => curve.run).join() === 'sgd'");
    click(&mut chrome, "#runs input[data-run=adam]");
    chrome.until("board.charts.get('train/loss').curves.length === 2");
    // Smoothing adds a line to each curve; none is as the files have it.
    chrome.until("board.charts.get('train/loss').lines.length === 4");
    chrome.eval("(() => { const slider = document.getElementById('smoothing'); slider.value = 0; slider.dispatchEvent(new Event('input')); })()");
    chrome.until("board.charts.get('train/loss').lines.length === 2");
    chrome.eval("(() => { const slider = document.getElementById('smoothing'); slider.value = 0.5; slider.dispatchEvent(new Event('input')); })()");
    chrome.until("board.charts.get('train/loss').lines.length === 4");
    let drawn = chrome.eval("[0, 1, 2].map((index) => board.charts.get('train/loss').data[2][index])");
    let raw = stored(&folder.path().join("adam"), "train/loss");
    // TensorBoard's mean, without the pull of its beginning.
    let (mut mean, mut weight) = (0.0, 1.0);
    for (index, (_, value)) in raw.iter().take(3).enumerate() {
        mean = mean * 0.5 + value * 0.5;
        weight *= 0.5;
        let expected = mean / (1.0 - weight);
        assert!((drawn[index].as_f64().unwrap() - expected).abs() < 1e-12, "{drawn} {expected}");
    }
    // Axes.
    for (axis, first) in [("wall", 1e9), ("relative", -1.0), ("step", 0.0)] {
        click(&mut chrome, &format!("[role=radio][data-value={axis}]"));
        chrome.until(&format!("board.charts.get('train/loss').options.axis === '{axis}'"));
        let x = chrome.eval("board.charts.get('train/loss').data[0][0]").as_f64().unwrap();
        assert!(x > first, "{axis}: {x}");
    }
    click(&mut chrome, ".check input");
    chrome.until("board.charts.get('train/loss').plot.scales.y.distr === 3");
    // The theme.
    let ground = "getComputedStyle(document.body.parentElement).backgroundColor";
    let light = chrome.eval(ground);
    click(&mut chrome, "#theme");
    chrome.until("document.documentElement.dataset.theme === 'dark'");
    assert_ne!(chrome.eval(ground), light);
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn a_running_training_is_shown_live() {
    let folder = tempfile::tempdir().unwrap();
    let writer = EventWriter::open(folder.path()).unwrap();
    let add = |tag: &str, step: i64| {
        writer.add_summary(Summary::scalar(tag, step as f32 / 10.0), step).unwrap();
        writer.flush().unwrap();
    };
    add("loss", 1);
    let mut chrome = opened(folder.path(), "scalars");
    chrome.until("board.charts.get('loss')?.curves[0]?.steps.length === 1");
    for step in 2..=5 {
        add("loss", step);
        chrome.until(&format!("board.charts.get('loss').curves[0].steps.length === {step}"));
    }
    add("accuracy", 6);
    chrome.until("board.charts.get('accuracy')?.curves[0]?.steps[0] === 6");
    support::numbers(&folder.path().join("second"), "loss", [1.0, 2.0, 3.0]);
    chrome.until("board.charts.get('loss').curves.length === 2");
    assert_eq!(curve_of(&mut chrome, "loss", "second"), [(0, 1.0), (1, 2.0), (2, 3.0)]);
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn everything_can_be_done_by_keys() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let mut chrome = opened(folder.path(), "scalars");
    chrome.until("document.querySelectorAll('[role=tab]').length === 9");
    // From the beginning of the page: a browser may begin at what the address's fragment names.
    chrome.eval("document.body.tabIndex = -1");
    chrome.eval("document.body.focus()");
    chrome.key("Tab");
    assert_eq!(chrome.eval("document.activeElement.textContent"), "Skip to the content");
    chrome.eval("document.body.removeAttribute('tabindex')");
    chrome.key("Tab");
    assert_eq!(chrome.eval("document.activeElement.role"), "tab");
    for view in
        ["histograms", "images", "audio", "text", "hparams", "graph", "checkpoints", "story", "scalars"]
    {
        chrome.key("ArrowRight");
        chrome.until(&format!(
            "document.querySelector('#tab-{view}[aria-selected=true]') === document.activeElement"
        ));
    }
    chrome.key("7");
    chrome.until(
        "document.querySelector('#tab-graph[aria-selected=true]') && document.querySelector('.box.scope')",
    );
    chrome.eval("document.querySelector('.box[data-name=hidden]').focus()");
    chrome.key("Enter");
    chrome.until("document.querySelector('.box[data-name=\"hidden/product\"]')");
    // The scope is opened in place: its box is still there, around what it holds, and has the focus.
    chrome.until("document.activeElement.dataset.name === 'hidden'");
    let inside = "(() => { const box = (name) => document.querySelector(`.box[data-name=\"${name}\"] rect`).getBoundingClientRect(); \
        const [outer, inner] = [box('hidden'), box('hidden/product')]; \
        return outer.left < inner.left && inner.right < outer.right && outer.top < inner.top && inner.bottom < outer.bottom; })()";
    assert_eq!(chrome.eval(inside), true);
    let apart = "[...document.querySelectorAll('.graph-picture > .box > rect:first-of-type')].map((rect) => rect.getBoundingClientRect())\
        .every((a, index, all) => all.slice(index + 1).every((b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1))";
    assert_eq!(chrome.eval(apart), true, "no box covers another one");
    chrome.key("Enter");
    chrome.until("!document.querySelector('.box[data-name=\"hidden/product\"]')");
    chrome.until("document.activeElement.dataset.name === 'hidden'");
    chrome.key("Enter");
    chrome.until("document.querySelector('.box[data-name=\"hidden/product\"]')");
    chrome.eval("document.querySelector('.box[data-name=\"hidden/product\"]').focus()");
    chrome.key("Enter");
    chrome.until("document.querySelector('.details').innerText.includes('MatMul')");
    chrome.key("/");
    chrome.key("1");
    chrome.until("document.querySelector('#tab-scalars[aria-selected=true]')");
    chrome.key("/");
    chrome.until("document.activeElement.id === 'tag-filter'");
    chrome.key("Escape");
    chrome.key("?");
    chrome.until("document.getElementById('keys').open");
    chrome.key("Escape");
    chrome.until("!document.getElementById('keys').open");
    chrome.key("t");
    chrome.until("document.documentElement.dataset.theme === 'dark'");
    // Everything that can be pressed has a name.
    let unnamed = chrome.eval(
        "[...document.querySelectorAll('button, input, select, [role=button], [role=img]')].filter((element) => \
         !(element.getAttribute('aria-label') || element.textContent.trim() || element.closest('label')?.textContent.trim() \
         || document.querySelector(`label[for='${element.id}']`))).map((element) => element.outerHTML)",
    );
    assert_eq!(unnamed, json!([]));
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn the_other_views_show_what_the_files_hold() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let mut chrome = opened(folder.path(), "histograms");
    chrome.until("document.querySelectorAll('[data-run=adam] .ridge').length === 20");
    click(&mut chrome, "[role=radio][data-value=heat]");
    chrome.until("document.querySelectorAll('[data-run=adam] .histogram rect').length > 100");
    // What a view shows is waited for and not looked at once: it is drawn again whenever there is something new.
    chrome.until("document.querySelector('.reading').textContent.startsWith('step 200 · 400 values')");
    chrome.key("3");
    chrome.until("[...document.querySelectorAll('.samples img')].length === 2 && [...document.images].every((image) => image.naturalWidth === 16)");
    // The pixel in the upper left corner of the newest picture, as it was written.
    chrome.until(
        "(() => { const canvas = document.createElement('canvas'); canvas.width = canvas.height = 16; \
         const context = canvas.getContext('2d'); context.drawImage(document.images[0], 0, 0); \
         return `${context.getImageData(3, 2, 1, 1).data}` === '200,48,32,255'; })()",
    );
    chrome.eval("(() => { const slider = document.querySelector('[data-run=adam] input[type=range]'); slider.value = 0; slider.dispatchEvent(new Event('input')); })()");
    chrome.until("document.querySelector('[data-run=adam] .note').textContent.startsWith('step 50')");
    chrome.key("4");
    chrome.until("[...document.querySelectorAll('audio')].every((audio) => audio.readyState >= 1) && document.querySelector('audio')?.duration === 0.1");
    chrome.key("5");
    chrome.until("document.querySelector('[data-run=sgd] pre')?.textContent === 'step **200** of sgd'");
    chrome.key("6");
    chrome.until("document.querySelectorAll('table.hparams tbody tr').length === 2 && document.querySelectorAll('.parallel path').length === 2");
    chrome.key("8");
    chrome.until("document.querySelector('.checkpoints .badge.good')?.textContent === 'newest'");
    click(&mut chrome, ".checkpoints [aria-label='Tensors of model.ckpt-200']");
    click(&mut chrome, ".tensors .distribution button");
    chrome.until("document.querySelector('.tensors .bars')");
    click(&mut chrome, ".checkpoints td:last-child button");
    chrome.until("document.querySelector('.verdict.good')?.textContent.includes('are intact')");
    chrome.key("9");
    chrome.until("document.querySelectorAll('.story li').length === 4");
    chrome.until("document.querySelector('.story').innerText.includes(\"Ended by hook 'StopAtStepHook': step 200 was reached\")");
    chrome.until("document.querySelector('.legend').innerText.includes('waiting for input')");
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn hostile_names_and_texts_are_shown_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\u{1b}[2J\u{0}";
    let run = folder.path().join("<b onclick=window.hit=1>run");
    let writer = EventWriter::open(&run).unwrap();
    writer.add_summary(Summary::scalar(hostile, 1.0), 1).unwrap();
    let long = "y".repeat(2 << 20);
    writer
        .add_summary(
            Summary::scalar(&long, 1.0).with(summary::Value::text("note", &format!("{hostile}{long}"))),
            1,
        )
        .unwrap();
    writer
        .add_summary(Summary::hparams([(hostile, hostile.into()), ("rate", 1.0.into())], "", 1.0), 0)
        .unwrap();
    writer
        .add_session_log(
            summary::SessionLog {
                message: json!({"story": "failed", "error": hostile}).to_string(),
                ..Default::default()
            },
            1,
        )
        .unwrap();
    writer.close().unwrap();
    let check = |chrome: &mut Chrome| {
        chrome.until(&format!("{CARDS}.includes({})", json!(hostile)));
        for (key, wanted) in [("2", "pre"), ("3", "table.hparams tbody td"), ("4", ".story li")] {
            chrome.key(key);
            chrome.until(&format!(
                "document.querySelector('{wanted}')?.textContent.includes('<script>window.hit=1')"
            ));
        }
        assert_eq!(chrome.eval("typeof window.hit"), "undefined");
        assert_eq!(chrome.eval("document.querySelectorAll('#body script, #body b').length"), 0);
        quiet(chrome);
    };
    let mut chrome = opened(folder.path(), "scalars");
    check(&mut chrome);
    let board = Board::open(&[folder.path()]).unwrap();
    board.reload();
    let page = folder.path().join("page.html");
    std::fs::write(&page, board.html()).unwrap();
    chrome.go(&format!("file://{}#scalars", page.display()));
    chrome.until("board.state?.embedded");
    check(&mut chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn the_page_in_one_file_shows_the_same() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let board = Board::open(&[folder.path()]).unwrap();
    board.reload();
    let page = folder.path().join("page.html");
    std::fs::write(&page, board.html()).unwrap();
    let mut chrome = Chrome::start();
    chrome.size(1280, 900);
    chrome.go(&format!("file://{}", page.display()));
    chrome.until("board.state?.embedded");
    assert_eq!(
        curve_of(&mut chrome, "train/loss", "adam"),
        stored(&folder.path().join("adam"), "train/loss")
    );
    for (key, seen) in [
        ("2", ".ridge"),
        ("3", ".samples img"),
        ("4", "audio"),
        ("5", "pre"),
        ("6", ".parallel path"),
        ("7", ".box.scope"),
        ("8", ".checkpoints .badge"),
        ("9", ".story li"),
    ] {
        chrome.key(key);
        chrome.until(&format!("document.querySelector({})", json!(seen)));
    }
    chrome.key("7");
    chrome.until("document.querySelector('.box[data-name=hidden]')");
    chrome.eval("document.querySelector('.box[data-name=hidden]').focus()");
    chrome.key("Enter");
    chrome.until("document.querySelector('.box[data-name=\"hidden/product\"]')");
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn twenty_long_runs_stay_in_bounds() {
    let folder = tempfile::tempdir().unwrap();
    for run in 0..20 {
        let name = format!("run-{run:02}");
        support::numbers(&folder.path().join(name), "loss", support::curve(100_000, run + 1));
    }
    let mut chrome = Chrome::start();
    chrome.size(1280, 900);
    let begun = std::time::Instant::now();
    chrome.go(&serve(folder.path()));
    chrome.until("board.state?.loaded && board.charts.get('loss')?.curves.length === 20 && board.charts.get('loss').curves.every((curve) => curve.total === 100000)");
    // A figure to look at, not a condition.
    eprintln!("20 runs of 100,000 points: {:.2} s until all are drawn", begun.elapsed().as_secs_f64());
    chrome.until("board.charts.get('loss').curves.every((curve) => curve.steps.length > 600)");
    eprintln!("{:.2} s until they are drawn with all points that have room", begun.elapsed().as_secs_f64());
    let points = chrome.eval("board.charts.get('loss').curves.map((curve) => curve.steps.length)");
    assert!(points.as_array().unwrap().iter().all(|count| count.as_u64() <= Some(1002)), "{points}");
    let frames = chrome.eval(
        "new Promise((done) => { const plot = board.charts.get('loss').plot; let left = 60; const begun = performance.now(); \
         const step = () => { plot.setCursor({left: left * 5, top: 50}); left -= 1; if (left > 0) requestAnimationFrame(step); \
         else done((performance.now() - begun) / 60); }; step(); })",
    );
    eprintln!("moving over the chart: {:.1} ms a frame", frames.as_f64().unwrap());
    quiet(&chrome);
}

#[test]
#[ignore = "needs Chromium: cargo xtask board"]
fn it_fits_every_width_in_both_themes() {
    let folder = tempfile::tempdir().unwrap();
    support::everything(folder.path());
    let kept = std::env::var_os("BOARD_SCREENSHOTS").map(PathBuf::from);
    let shown = std::env::var_os("BOARD_RUNS").map_or(folder.path().to_path_buf(), PathBuf::from);
    let mut chrome = opened(&shown, "scalars");
    let views = chrome.eval("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.id.slice(4))");
    let views: Vec<String> = serde_json::from_value(views).unwrap();
    if let Ok(script) = std::env::var("BOARD_SETUP") {
        chrome.eval(&script);
    }
    for (width, height) in [(1280, 860), (820, 1100), (390, 844)] {
        for theme in ["light", "dark"] {
            chrome.size(width, height);
            chrome.scheme(theme);
            for view in &views {
                chrome.eval(&format!("document.getElementById('tab-{view}').click()"));
                chrome.until("![...document.querySelectorAll('#panel p')].some((text) => text.textContent === 'Reading…' && text.getBoundingClientRect().top < innerHeight)");
                // Two frames, so that all that waits for one is drawn.
                chrome
                    .eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
                let over: Json = chrome.eval("document.documentElement.scrollWidth - innerWidth");
                assert!(over.as_i64() <= Some(0), "{view} at {width}: {over} pixels too wide");
                if let Some(kept) = &kept {
                    std::fs::create_dir_all(kept).unwrap();
                    std::fs::write(kept.join(format!("{view}-{width}-{theme}.png")), chrome.screenshot())
                        .unwrap();
                }
            }
        }
    }
    quiet(&chrome);
}
