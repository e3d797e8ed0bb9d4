//! HTML and Markdown: what is written is read again, and nothing that runs comes out of either.

use super::random::{Random, for_seeds};
use crate::formatting::{html, markdown, safe_url};
use crate::{Attributes, Document, HybridTime, TextDelta, Value};

fn shows(list: &[(&str, Value)]) -> Attributes {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn on(kind: &str) -> Attributes {
    shows(&[(kind, Value::Bool(true))])
}

/// Steps that show the same as one.
fn joined(delta: Vec<TextDelta>) -> Vec<TextDelta> {
    let mut joined: Vec<TextDelta> = Vec::new();
    for step in delta {
        match (joined.last_mut(), step) {
            (Some(TextDelta::Insert(last, shown)), TextDelta::Insert(text, attributes)) if *shown == attributes => {
                last.push_str(&text);
            }
            (_, step) => joined.push(step),
        }
    }
    joined
}

/// A delta of what the formats can say.
fn random_delta(random: &mut Random, is_html: bool) -> Vec<TextDelta> {
    let words = [
        "a", "word", " ", "  ", "\t", "é", "漢", "🙂", "<b>", "&amp;", "\"'", "*", "**", "_", "`", "``", "#", "- ",
        "1. ", "> ", "[x](y)", "![", "\\", "~~", "http://x", "<!--", "</p>", "=", "---", "12", ".", "|", "$", "&#32;",
        ":", "+", ")", "    ",
    ];
    let marks: &[(&str, &[Value])] = &[
        ("bold", &[Value::Bool(true)]),
        ("italic", &[Value::Bool(true)]),
        ("underline", &[Value::Bool(true)]),
        ("strike", &[Value::Bool(true)]),
        ("code", &[Value::Bool(true)]),
    ];
    let mut delta = Vec::new();
    let mut depth = None;
    for _ in 0..1 + random.below(6) {
        let mut line = Attributes::new();
        if random.chance(20) {
            line.insert("blockquote".to_owned(), Value::Bool(true));
        }
        match random.below(5) {
            0 => drop(line.insert("code-block".to_owned(), Value::Bool(true))),
            1 => drop(line.insert("header".to_owned(), Value::Int(1 + random.below(6) as i64))),
            2 | 3 => {
                let kind = *random.pick(&["bullet", "ordered", "checked", "unchecked"]);
                line.insert("list".to_owned(), Value::from(kind));
                if is_html && random.chance(30) {
                    line.insert("header".to_owned(), Value::Int(2));
                }
            }
            _ if is_html => {
                line.insert("align".to_owned(), Value::from(*random.pick(&["center", "right"])));
                if random.chance(50) {
                    line.insert("indent".to_owned(), Value::Int(2));
                }
            }
            _ => {}
        }
        let is_list = line.contains_key("list");
        // In Markdown a list goes one level deeper at most, and begins at the first.
        let group = (is_list, line.contains_key("blockquote"));
        let deepest = match depth {
            Some((last, within)) if within == group && is_list => last + 1,
            _ => 0,
        };
        let indent = random.below(if is_html { 4 } else { 1 + deepest });
        if is_list && indent > 0 {
            line.insert("indent".to_owned(), Value::Int(indent as i64));
        }
        depth = Some((if is_list { indent } else { 0 }, group));
        let is_code = line.contains_key("code-block");
        for _ in 0..random.below(5) {
            let mut attributes = Attributes::new();
            if !is_code && random.chance(60) {
                for _ in 0..1 + random.below(2) {
                    let (key, values) = random.pick(marks);
                    attributes.insert((*key).to_owned(), random.pick(values).clone());
                }
                if random.chance(15) {
                    attributes.insert("link".to_owned(), Value::from("https://x.example/?a=1&b=(2)"));
                }
                if random.chance(15) {
                    attributes.insert("script".to_owned(), Value::from(*random.pick(&["sub", "super"])));
                }
                if is_html && random.chance(15) {
                    attributes.insert("color".to_owned(), Value::from("rgb(1, 2, 3)"));
                    attributes.insert("size".to_owned(), Value::from("12px"));
                }
            }
            let text: String = (0..1 + random.below(3)).map(|_| *random.pick(&words)).collect();
            delta.push(TextDelta::Insert(text, attributes));
        }
        delta.push(TextDelta::Insert("\n".to_owned(), line));
    }
    joined(delta)
}

#[test]
fn html_is_read_as_it_was_written() {
    for_seeds(3000, |seed| {
        let delta = random_delta(&mut Random(seed), true);
        let text = html::write(&delta);
        assert_eq!(joined(html::read(&text).unwrap()), delta, "{text}");
        assert_eq!(html::write(&html::read(&text).unwrap()), text);
    });
}

#[test]
fn markdown_is_read_as_it_was_written() {
    for_seeds(3000, |seed| {
        let delta = random_delta(&mut Random(seed), false);
        let text = markdown::write(&delta);
        assert_eq!(joined(markdown::read(&text).unwrap()), delta, "{text}");
    });
}

#[test]
fn nothing_that_runs_comes_out() {
    let hostile = [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "\u{1}javascript:alert(1)",
        "file:///etc/passwd",
        "",
    ];
    for url in hostile {
        assert_eq!(safe_url(url), None, "{url:?}");
        let delta = [TextDelta::Insert("x".into(), shows(&[("link", Value::from(url))])), TextDelta::insert("\n")];
        assert_eq!(html::write(&delta), "<p>x</p>");
        assert_eq!(markdown::write(&delta), "x\n");
        let read = html::read(&format!("<a href=\"{url}\">x</a>")).unwrap();
        assert_eq!(read, [TextDelta::insert("x\n")]);
        let read = markdown::read(&format!("[x](<{}>)", url.replace('\t', "&#9;"))).unwrap();
        assert!(read.iter().all(|step| matches!(step, TextDelta::Insert(_, shown) if shown.is_empty())), "{read:?}");
    }
    for url in ["https://a/b?c:d", "/a:b", "#a", "mailto:a@b", "TEL:1", "a/b:c", "?x:y"] {
        assert_eq!(safe_url(url), Some(url));
    }
    let script = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let attributes = shows(&[
        ("link", Value::from("https://a/\"onmouseover=\"alert(1)")),
        ("color", Value::from("red;background:url(javascript:alert(1))")),
        ("font", Value::from("x\"><script>")),
        ("size", Value::from("expression(alert(1))")),
        ("onclick", Value::from(script)),
        ("<script>", Value::Bool(true)),
    ]);
    let line = shows(&[
        ("align", Value::from(script)),
        ("list", Value::from(script)),
        ("direction", Value::from(script)),
        ("onload", Value::from(script)),
        ("code-block", Value::from(script)),
    ]);
    let delta = [TextDelta::Insert(script.into(), attributes), TextDelta::Insert("\n".into(), line.clone())];
    let written = html::write(&delta);
    let expected = "<ul><li><a rel=\"noopener noreferrer\" href=\"https://a/&quot;onmouseover=&quot;alert(1)\">\
        &lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;&lt;img src=x onerror=alert(1)&gt;</a></li></ul>";
    assert_eq!(written, expected);
    // Markdown of it, read again, has text and the link and no more.
    let plain = [delta[0].clone(), TextDelta::insert("\n")];
    let read = markdown::read(&markdown::write(&plain)).unwrap();
    let TextDelta::Insert(text, shown) = &read[0] else { panic!("{read:?}") };
    assert_eq!((text.as_str(), shown.len()), (script, 1));
    // A code block's text is text too.
    let code = [TextDelta::insert(script), TextDelta::Insert("\n".into(), on("code-block"))];
    assert!(!html::write(&code).contains("<script"));
}

#[test]
fn html_of_others() {
    let insert = |text: &str| TextDelta::insert(text);
    let with = |text: &str, shown: Attributes| TextDelta::Insert(text.into(), shown);
    let bullet = |indent: i64| match indent {
        0 => shows(&[("list", Value::from("bullet"))]),
        _ => shows(&[("list", Value::from("bullet")), ("indent", Value::Int(indent))]),
    };
    let table: [(&str, Vec<TextDelta>); 12] = [
        ("", vec![insert("\n")]),
        ("  a \n b<br>c  ", vec![insert("a b\nc\n")]),
        ("<p>a<p>b</p><div><div>c</div></div>", vec![insert("a\nb\nc\n")]),
        ("<script>x</script>a<style>y</style><!-- z --><svg><text>q</text></svg>", vec![insert("a\n")]),
        (
            "<ul><li>a<ul><li>b</ul><li>c</ul>d",
            vec![
                insert("a"),
                with("\n", bullet(0)),
                insert("b"),
                with("\n", bullet(1)),
                insert("c"),
                with("\n", bullet(0)),
                insert("d\n"),
            ],
        ),
        (
            "<b style=\"font-weight:normal\">a<i>b</i></b><span style='font-weight:700'>c</span>",
            vec![insert("a"), with("b", on("italic")), with("c", on("bold")), insert("\n")],
        ),
        (
            "<ol><li data-list=\"bullet\" class=\"ql-indent-1\"><span></span>q</li></ol>",
            vec![insert("q"), with("\n", bullet(1))],
        ),
        (
            "<pre>\na\n  b\n</pre>",
            vec![insert("a"), with("\n", on("code-block")), insert("  b"), with("\n", on("code-block"))],
        ),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", vec![insert("a b\nc\n")]),
        ("&lt;&eacute;&#x1f642;&nbsp;&bogus;", vec![insert("<é🙂\u{a0}&bogus;\n")]),
        (
            "<a href=\"/x\">a<a href=\"/y\">b</a>",
            vec![
                with("a", shows(&[("link", Value::from("/x"))])),
                with("b", shows(&[("link", Value::from("/y"))])),
                insert("\n"),
            ],
        ),
        ("</p></div><unknown>a</unknown", vec![insert("a\n")]),
    ];
    for (text, expected) in table {
        assert_eq!(html::read(text).unwrap(), joined(expected), "{text}");
    }
}

#[test]
fn markdown_of_others() {
    let insert = |text: &str| TextDelta::insert(text);
    let with = |text: &str, shown: Attributes| TextDelta::Insert(text.into(), shown);
    let table: [(&str, Vec<TextDelta>); 6] = [
        ("", vec![insert("\n")]),
        (
            "# A *b*\n\ntext\nmore  \nlast",
            vec![
                insert("A "),
                with("b", on("italic")),
                with("\n", shows(&[("header", Value::Int(1))])),
                insert("text more\nlast\n"),
            ],
        ),
        ("<script>alert(1)</script>\n\na<img src=x>b", vec![insert("ab\n")]),
        ("```rust\nfn a\n```", vec![insert("fn a"), with("\n", shows(&[("code-block", Value::from("rust"))]))]),
        (
            "> - [x] a",
            vec![
                insert("a"),
                with("\n", shows(&[("blockquote", Value::Bool(true)), ("list", Value::from("checked"))])),
            ],
        ),
        ("[a](javascript:x) ![b](c)", vec![insert("a b\n")]),
    ];
    for (text, expected) in table {
        assert_eq!(markdown::read(text).unwrap(), joined(expected), "{text}");
    }
}

#[test]
fn what_is_large_or_deep_is_bounded() {
    let large = "a".repeat(html::MAX_BYTES + 1);
    assert_eq!(html::read(&large), Err(html::HtmlError::TooLarge { bytes: large.len() }));
    assert_eq!(markdown::read(&large), Err(markdown::MarkdownError::TooLarge { bytes: large.len() }));
    for tag in ["<ul><li>", "<b>", "<blockquote>", "<div>", "<svg>", "<a href=x>"] {
        html::read(&tag.repeat(20_000)).unwrap();
    }
    for text in ["> ", "- ", "*a ", "**a _b ", "[", "![", "<u>", "`", "~~a"] {
        markdown::read(&text.repeat(3_000)).unwrap();
    }
    // Random pieces of both, as a text.
    let pieces = [
        "<", ">", "</", "ul", "li", "<p>", "<li>", "</ul>", "<pre>", "&", "#", ";", "\"", "'", "=", " ", "\n", "href",
        "style", "- ", "*", "`", "[", "](", ")", "> ", "\\", "é", "\0", "<br>", "~~", "1. ", "    ", "<!--", "-->",
        "```",
    ];
    for_seeds(2000, |seed| {
        let mut random = Random(seed);
        let text: String = (0..random.below(60)).map(|_| *random.pick(&pieces)).collect();
        for delta in [html::read(&text).unwrap(), markdown::read(&text).unwrap()] {
            assert!(matches!(delta.last(), Some(TextDelta::Insert(last, _)) if last.ends_with('\n')));
            let again = html::read(&html::write(&delta)).unwrap();
            assert_eq!(html::write(&again), html::write(&delta), "{text}");
            let mut document = Document::new();
            document.set_actor(crate::Actor(1), 1);
            document.set_contents("t", &delta, HybridTime::default()).unwrap();
            assert_eq!(document.text("t").to_delta(), joined(delta));
            markdown::read(&markdown::write(&document.text("t").to_delta())).unwrap();
        }
    });
}
