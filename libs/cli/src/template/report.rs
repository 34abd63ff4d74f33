//! What podman makes of `--format`: JSON, a table with headers, or a line for each element.

use std::collections::BTreeMap;

use super::{Template, TemplateError, Value};
use crate::columns;

/// What `--format` asks for.
#[derive(Debug, Clone)]
pub enum Format {
    /// The whole as JSON.
    Json,
    /// A template, with or without a table around it.
    Report(Report),
}

/// A template that prints a list.
#[derive(Debug, Clone)]
pub struct Report {
    template: Template,
    is_table: bool,
}

impl Format {
    /// Understands what a user typed for the list of a command; errors name the command.
    ///
    /// # Errors
    /// If it is neither a way to ask for JSON nor a template.
    pub fn parse(command: &str, text: &str) -> Result<Self, TemplateError> {
        if asks_for_json(text) { Ok(Self::Json) } else { Ok(Self::Report(Report::parse(command, text)?)) }
    }
}

/// `json`, `{{json}}` and `{{json.}}`, but not `{{json .}}`, which is a template.
#[must_use]
pub fn asks_for_json(text: &str) -> bool {
    let text = text.trim();
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    text == "json" || inner.is_some_and(|inner| matches!(inner.trim(), "json" | "json."))
}

impl Report {
    /// A user's template.
    ///
    /// # Errors
    /// If it does not parse.
    pub fn parse(command: &str, text: &str) -> Result<Self, TemplateError> {
        let (text, is_table) = match text.strip_prefix("table ") {
            // In a table a space is a step to the next column.
            Some(cells) => (unescape(cells.trim()).replace(' ', "\t"), true),
            None => (unescape(text), false),
        };
        let text = if text.ends_with('\n') { text } else { text + "\n" };
        Ok(Self { template: Template::parse(command, &ranged(&text))?, is_table })
    }

    /// A command's own table: cells are separated by tabs.
    ///
    /// # Errors
    /// If it does not parse.
    pub fn table(command: &str, cells: &str) -> Result<Self, TemplateError> {
        Ok(Self { template: Template::parse(command, &ranged(&format!("{cells}\n")))?, is_table: true })
    }

    /// Prints the rows, with a line of headers in a table.
    ///
    /// # Errors
    /// If the template asks for what a row does not have.
    pub fn render(
        &self,
        rows: Vec<Value>,
        headers: Option<&BTreeMap<String, String>>,
    ) -> Result<String, TemplateError> {
        let mut out = String::new();
        if let (true, Some(headers)) = (self.is_table, headers) {
            out = self.template.render(&Value::from(vec![Value::from(headers.clone())]))?;
        }
        out.push_str(&self.template.render(&Value::from(rows))?);
        Ok(if self.is_table { columns::align(&out) } else { out })
    }
}

/// The headers of fields: words in capitals, with a command's own exceptions.
#[must_use]
pub fn headers(fields: &[&str], exceptions: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|field| {
            let own =
                exceptions.iter().find(|(name, _)| name == field).map(|(_, header)| (*header).to_owned());
            ((*field).to_owned(), own.unwrap_or_else(|| words(field).to_uppercase()))
        })
        .collect()
}

/// `CreatedSince` is two words, `ID` is one, `ImageID` is two.
fn words(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (index, c) in chars.iter().enumerate() {
        let after_lower = index > 0 && c.is_uppercase() && !chars[index - 1].is_uppercase();
        let ends_acronym = index > 0
            && c.is_uppercase()
            && chars[index - 1].is_uppercase()
            && chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        if after_lower || ends_acronym {
            out.push(' ');
        }
        out.push(*c);
    }
    out
}

/// The escapes that shells leave to us.
fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// A template for one element runs for each; one that ranges by itself is left alone.
fn ranged(text: &str) -> String {
    if text
        .trim_start()
        .strip_prefix("{{")
        .is_some_and(|rest| rest.trim_start_matches(['-', ' ']).starts_with("range"))
    {
        text.to_owned()
    } else {
        format!("{{{{range . -}}}}{text}{{{{end -}}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Struct;
    use super::*;

    fn rows() -> Vec<Value> {
        let row = |id: &str, name: &str| Struct::new("row").field("ID", id).field("ImageName", name).into();
        vec![row("1", "a"), row("2", "b")]
    }

    fn render(format: &str) -> String {
        Report::parse("ps", format)
            .unwrap()
            .render(rows(), Some(&headers(&["ID", "ImageName"], &[])))
            .unwrap()
    }

    #[test]
    fn a_line_for_each_element() {
        assert_eq!(render("{{.ID}}"), "1\n2\n");
        assert_eq!(render("{{.ID}}\\t{{.ImageName}}\\n"), "1\ta\n2\tb\n");
        assert_eq!(render("{{range .}}{{.ID}},{{end}}"), "1,2,\n");
    }

    #[test]
    fn tables_have_headers() {
        assert_eq!(
            render("table {{.ID}} {{.ImageName}}"),
            "ID          IMAGE NAME\n1           a\n2           b\n"
        );
        assert_eq!(words("ImageID"), "Image ID");
        assert_eq!(words("CPUPerc"), "CPU Perc");
    }

    #[test]
    fn ways_to_ask_for_json() {
        for text in ["json", " json ", "{{json}}", "{{ json. }}"] {
            assert!(asks_for_json(text), "{text}");
        }
        for text in ["{{json .}}", "jsonx", "{{.json}}"] {
            assert!(!asks_for_json(text), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let error = Report::parse("ps", "{{.Nope}}").unwrap().render(rows(), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "template: ps:1:15: executing \"ps\" at <.Nope>: can't evaluate field Nope in type row"
        );
    }
}
