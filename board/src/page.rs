//! The page: scripts and styles that are compiled into the program.

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
const STYLE: &str = include_str!("../assets/board.css");
const INDEX: &str = include_str!("../assets/index.html");
const ICON: &str = include_str!("../assets/icon.svg");
const UPLOT_SCRIPT: &str = include_str!("../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../assets/uplot/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("../assets/uplot/LICENSE");

/// The references of the page to its parts, and the parts.
const PARTS: [(&str, &str, &str); 4] = [
    ("<link rel=\"stylesheet\" href=\"uplot.css\">", "style", UPLOT_STYLE),
    ("<link rel=\"stylesheet\" href=\"board.css\">", "style", STYLE),
    ("<script src=\"uplot.js\"></script>", "script", UPLOT_SCRIPT),
    ("<script src=\"board.js\"></script>", "script", SCRIPT),
];
const ICON_PART: &str = "<link rel=\"icon\" href=\"icon.svg\">";

/// The part of the page at a path.
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
pub(crate) fn with_data(data: &str) -> String {
    let mut page = INDEX.replace(ICON_PART, "");
    // Scripts may hold neither the end of their element nor the beginning of a comment.
    let data = data.replace('<', "\\u003c");
    let data = format!("<script type=\"application/json\" id=\"data\">{data}</script>\n");
    for (reference, element, content) in PARTS {
        let license =
            if content == UPLOT_SCRIPT { format!("/*!\n{UPLOT_LICENSE}*/\n") } else { String::new() };
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
