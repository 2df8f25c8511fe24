//! The page: scripts and styles that are compiled into the program.
//!
//! The page consists of plain files without a build step. The scripts are concatenated in order and share one scope,
//! in which each defines a few functions. Nothing is loaded from another site: the content security policy of the
//! server forbids it, and the page in one file works without a network.

use crate::answer::Answer;

/// The scripts in the order in which they run; each holds one concept.
const SCRIPT: &str = concat!(
    include_str!("../assets/js/dom.js"),
    include_str!("../assets/js/data.js"),
    include_str!("../assets/js/format.js"),
    include_str!("../assets/js/runs.js"),
    include_str!("../assets/js/chart.js"),
    include_str!("../assets/js/scalars.js"),
    include_str!("../assets/js/histograms.js"),
    include_str!("../assets/js/media.js"),
    include_str!("../assets/js/hparams.js"),
    include_str!("../assets/js/nested.js"),
    include_str!("../assets/js/graph.js"),
    include_str!("../assets/js/checkpoints.js"),
    include_str!("../assets/js/story.js"),
    include_str!("../assets/js/main.js"),
);
/// The styles, for light and dark themes.
const STYLE: &str = include_str!("../assets/board.css");
/// The frame of the page.
const INDEX: &str = include_str!("../assets/index.html");
/// The icon in the tab of a browser.
const ICON: &str = include_str!("../assets/icon.svg");
/// The library that draws curves, as it was published.
const UPLOT_SCRIPT: &str = include_str!("../assets/uplot/uPlot.iife.min.js");
/// The styles of that library.
const UPLOT_STYLE: &str = include_str!("../assets/uplot/uPlot.min.css");
/// The license of that library, which has to accompany copies of it, also in an exported page.
const UPLOT_LICENSE: &str = include_str!("../assets/uplot/LICENSE");

/// The elements that refer to the parts of the page, each with the name of the element and the content that replace
/// it in an exported page.
const PARTS: [(&str, &str, &str); 4] = [
    ("<link rel=\"stylesheet\" href=\"uplot.css\">", "style", UPLOT_STYLE),
    ("<link rel=\"stylesheet\" href=\"board.css\">", "style", STYLE),
    ("<script src=\"uplot.js\"></script>", "script", UPLOT_SCRIPT),
    ("<script src=\"board.js\"></script>", "script", SCRIPT),
];
/// The element that refers to the icon. An exported page has none, because it would have to be embedded as well.
const ICON_PART: &str = "<link rel=\"icon\" href=\"icon.svg\">";

/// Returns the part of the page at a path, or `None` for any other path.
pub(crate) fn asset(path: &str) -> Option<Answer> {
    let (content_type, text) = match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", INDEX),
        "/board.css" => ("text/css; charset=utf-8", STYLE),
        "/board.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "/uplot.css" => ("text/css; charset=utf-8", UPLOT_STYLE),
        "/uplot.js" => ("text/javascript; charset=utf-8", UPLOT_SCRIPT),
        "/icon.svg" => ("image/svg+xml", ICON),
        _ => return None,
    };
    Some(Answer::new(content_type, text))
}

/// The page in one file, with all the data that it shows, as JSON.
///
/// The data are in an element of type `application/json`, which browsers do not execute. `<` is escaped in it, so
/// that no name in a file can end the element.
pub(crate) fn with_data(data: &str) -> String {
    let mut page = INDEX.replace(ICON_PART, "");
    // Scripts may hold neither the end of their element nor the beginning of a comment.
    let data = data.replace('<', "\\u003c");
    let data = format!("<script type=\"application/json\" id=\"data\">{data}</script>\n");
    for (reference, element, content) in PARTS {
        let license =
            if content == UPLOT_SCRIPT { format!("/*!\n{UPLOT_LICENSE}*/\n") } else { String::new() };
        // The data come in front of the script that reads them.
        let before = if content == SCRIPT { &*data } else { "" };
        let inlined = format!("{before}<{element}>\n{license}{content}</{element}>");
        page = page.replace(reference, &inlined);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_refers_to_its_parts_and_is_small() {
        for (reference, ..) in PARTS {
            assert!(INDEX.contains(reference), "{reference}");
        }
        assert!(INDEX.contains(ICON_PART));
        let bytes = INDEX.len() + PARTS.iter().map(|(_, _, content)| content.len()).sum::<usize>();
        assert!(bytes < 1_000_000, "{bytes}");
    }

    #[test]
    fn data_cannot_end_its_element() {
        let page = with_data("{\"</script><script>alert(1)\":1}");
        assert!(!page.contains("</script><script>alert"));
        assert!(!page.contains("src=\"") && !page.contains("href=\"board"), "nothing is fetched");
    }
}
