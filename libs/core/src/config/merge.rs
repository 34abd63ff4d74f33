//! Laying one file over what others said.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Config, ConfigError, Family, Held, Key, Kind, Setting};
use crate::toml::{Table, Value};

impl Config {
    /// Takes what a file says.
    pub(super) fn lay(
        &mut self,
        family: &'static Family,
        path: &Path,
        table: Table,
    ) -> Result<(), ConfigError> {
        self.lay_table(family, path, "", table)
    }

    fn lay_table(
        &mut self,
        family: &'static Family,
        path: &Path,
        prefix: &str,
        table: Table,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match (family.key(&name), value) {
                (Some(key), value) => self.set(key, path, value)?,
                (None, Value::Table(table)) if family.is_table(&name) => {
                    self.lay_table(family, path, &name, table)?;
                }
                (None, _) => self.unknown.push((name, path.to_owned())),
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &'static Key, path: &Path, value: Value) -> Result<(), ConfigError> {
        let old = self.settings.remove(key.name).map(|setting| setting.value);
        let found = value.kind();
        let held = match (key.kind, value) {
            (Kind::Text, Value::Text(text)) => Some(Held::Text(text)),
            (Kind::Size, Value::Text(text)) => Some(Held::Text(text)),
            (Kind::Size, Value::Integer(number)) => Some(Held::Text(number.to_string())),
            (Kind::Bool, Value::Bool(on)) => Some(Held::Bool(on)),
            (Kind::Integer, Value::Integer(number)) => Some(Held::Integer(number)),
            (Kind::Count, Value::Integer(number)) if number >= 0 => Some(Held::Integer(number)),
            (Kind::List, Value::List(list)) => added(old, list),
            (Kind::Map, Value::Table(table)) => merged(old, table),
            (Kind::Opaque, _) => Some(Held::Opaque),
            _ => None,
        };
        let value = held.ok_or_else(|| ConfigError::Kind {
            path: path.to_owned(),
            key: key.name,
            wanted: key.kind.name(),
            found,
        })?;
        self.settings.insert(key.name, Setting { value, path: path.to_owned() });
        Ok(())
    }
}

/// A list of strings after another. Once a list says `{append=true}`, it and those after it add to what was there,
/// until one says `{append=false}`.
fn added(old: Option<Held>, list: Vec<Value>) -> Option<Held> {
    let (mut values, mut append) = match old {
        Some(Held::List { values, append }) => (values, append),
        _ => (Vec::new(), None),
    };
    let mut new = Vec::with_capacity(list.len());
    for item in list {
        match item {
            Value::Text(text) => new.push(text),
            Value::Table(attributes) => {
                for (name, value) in attributes {
                    match (name.as_str(), value) {
                        ("append", Value::Bool(on)) => append = Some(on),
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    if append == Some(true) {
        values.append(&mut new);
    } else {
        values = new;
    }
    Some(Held::List { values, append })
}

/// Names and strings on top of others.
fn merged(old: Option<Held>, table: Table) -> Option<Held> {
    let mut map = match old {
        Some(Held::Map(map)) => map,
        _ => BTreeMap::new(),
    };
    for (name, value) in table {
        let Value::Text(text) = value else { return None };
        map.insert(name, text);
    }
    Some(Held::Map(map))
}
