//! What podman makes of `--format`: JSON, a table with headers, or a line for each element.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Template, TemplateError, Type, Value};
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
        let (plain, escaped, is_table) = match text.strip_prefix("table ") {
            Some(cells) => (wrapped(cells), wrapped(&with_line_break(table_escapes(text))), true),
            None => (ranged(text), ranged(&with_line_break(escapes(text))), false),
        };
        // Docker takes `\n` for a line break, which is wrong inside `{{printf "\n"}}`: there the text is taken as it is.
        let template = Template::parse(command, &escaped).or_else(|_| Template::parse(command, &plain))?;
        Ok(Self { template, is_table })
    }

    /// A command's own table: cells are separated by tabs.
    ///
    /// # Errors
    /// If it does not parse.
    pub fn table(command: &str, cells: &str) -> Result<Self, TemplateError> {
        Ok(Self { template: Template::parse(command, &ranged(&format!("{cells}\n")))?, is_table: true })
    }

    /// Whether it prints a table, which has headers.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        self.is_table
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
            let headers =
                Value::list(Type::Map(Rc::new((Type::String, Type::String))), vec![headers.clone().into()]);
            out = self.template.render(&headers)?;
        }
        out.push_str(&self.template.render(&listed(rows))?);
        Ok(if self.is_table { columns::align(&out) } else { out })
    }
}

/// Rows as a slice of their type, if they have one: errors name it.
fn listed(rows: Vec<Value>) -> Value {
    let element = rows.first().map_or(Type::Any, Value::type_of);
    Value::list(element, rows)
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
fn escapes(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// In a table a space is a step to the next column, wherever it stands.
fn table_escapes(text: &str) -> String {
    escapes(&text.replace("table ", "")).replace(' ', "\t")
}

fn with_line_break(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A template for one element runs for each.
fn wrapped(text: &str) -> String {
    format!("{{{{range .}}}}{text}{{{{end -}}}}")
}

/// A template that has `{{range .}} … {{end}}` by itself is left alone.
fn ranged(text: &str) -> String {
    let starts = text.match_indices("{{").filter_map(|(at, _)| {
        let rest = &text[at + 2..];
        let rest = rest.trim_start().strip_prefix("range")?;
        let rest = rest.trim_start().strip_prefix('.')?;
        rest.trim_start().strip_prefix("}}")
    });
    let ends = |rest: &str| {
        rest.match_indices("{{").any(|(at, _)| {
            let rest = rest[at + 2..].trim_start().strip_prefix("end");
            rest.map(str::trim_start)
                .map(|rest| rest.strip_prefix('-').unwrap_or(rest))
                .is_some_and(|rest| rest.trim_start().starts_with("}}"))
        })
    };
    if starts.into_iter().any(ends) { text.to_owned() } else { wrapped(text) }
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
        assert_eq!(render("{{ range  . }}{{.ID}}{{ end -}}"), "12");
        assert_eq!(render(" {{.ID}}"), " 1\n 2\n");
        assert_eq!(render("{{printf \"\\n\"}}"), "\n\n");
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
            "template: ps:1:13: executing \"ps\" at <.Nope>: can't evaluate field Nope in type row"
        );
    }
}
