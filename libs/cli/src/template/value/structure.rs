//! Structs, and the functions that belong to them.

use super::{Type, Value};
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

/// A struct: its fields in order, and its methods.
#[derive(Debug, Clone)]
pub struct Struct {
    pub(crate) type_name: &'static str,
    fields: Fields,
    pub(crate) methods: Vec<(&'static str, Rc<Func>)>,
    pub(crate) shown: Option<Rc<[u8]>>,
}

/// A field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    /// The name that templates use.
    pub name: &'static str,
    /// The name that JSON has; none if the field is not there.
    pub json: Option<&'static str>,
    /// Whether JSON leaves it out when it is empty.
    pub omit_empty: bool,
    /// Its value.
    pub value: Value,
}

/// Where the fields of a struct come from.
#[derive(Clone)]
enum Fields {
    /// They are there.
    Made(Vec<Field>),
    /// Each is made when a template asks for it: of the rows of a long list, few ever are.
    Lazy(Rc<Lazy>),
}

/// Fields that are made when they are asked for.
struct Lazy {
    names: &'static [&'static str],
    make: Box<dyn Fn(&str) -> Value>,
    /// All of them, once something asks for that.
    all: OnceCell<Vec<Field>>,
}

impl Lazy {
    fn all(&self) -> &[Field] {
        let field = |name: &&'static str| Field::new(name, Some(name), (self.make)(name));
        self.all.get_or_init(|| self.names.iter().map(field).collect())
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.names.contains(&name).then(|| (self.make)(name))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

impl Fields {
    fn all(&self) -> &[Field] {
        match self {
            Self::Made(fields) => fields,
            Self::Lazy(lazy) => lazy.all(),
        }
    }
}

impl Field {
    const fn new(name: &'static str, json: Option<&'static str>, value: Value) -> Self {
        Self { name, json, omit_empty: false, value }
    }
}

impl Struct {
    /// A struct without fields. Its name is the one that Go has, with the package (`define.InspectContainerData`).
    #[must_use]
    pub const fn new(type_name: &'static str) -> Self {
        Self { type_name, fields: Fields::Made(Vec::new()), methods: Vec::new(), shown: None }
    }

    /// A struct with fields of these names, each of which is made when it is asked for.
    pub fn lazy(
        type_name: &'static str,
        names: &'static [&'static str],
        make: impl Fn(&str) -> Value + 'static,
    ) -> Self {
        let lazy = Lazy { names, make: Box::new(make), all: OnceCell::new() };
        Self { fields: Fields::Lazy(Rc::new(lazy)), ..Self::new(type_name) }
    }

    /// Adds a field that JSON has under the same name.
    #[must_use]
    pub fn field(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.named(name, Some(name), value)
    }

    /// Adds a field that JSON has under another name, or not at all.
    #[must_use]
    pub fn named(mut self, name: &'static str, json: Option<&'static str>, value: impl Into<Value>) -> Self {
        self.push(Field::new(name, json, value.into()));
        self
    }

    /// Adds a field that JSON leaves out when it is empty.
    #[must_use]
    pub fn optional(mut self, name: &'static str, json: &'static str, value: impl Into<Value>) -> Self {
        self.push(Field { omit_empty: true, ..Field::new(name, Some(json), value.into()) });
        self
    }

    fn push(&mut self, field: Field) {
        if let Fields::Lazy(lazy) = &self.fields {
            self.fields = Fields::Made(lazy.all().to_vec());
        }
        if let Fields::Made(fields) = &mut self.fields {
            fields.push(field);
        }
    }

    /// Adds a method that takes so many strings: `{{.Label "key"}}`.
    #[must_use]
    pub fn method(
        mut self,
        name: &'static str,
        arity: usize,
        body: impl Fn(&[Value]) -> Result<Value, String> + 'static,
    ) -> Self {
        self.methods.push((name, Rc::new(Func::new(&vec![Type::String; arity], body))));
        self
    }

    /// How the struct prints itself: Go's `String` method.
    #[must_use]
    pub fn prints_as(mut self, text: &str) -> Self {
        self.shown = Some(text.as_bytes().into());
        self
    }

    /// The name of its type.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.type_name
    }

    /// The fields, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.fields.all()
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        match &self.fields {
            Fields::Made(fields) => {
                fields.iter().find(|field| field.name == name).map(|field| field.value.clone())
            }
            Fields::Lazy(lazy) => lazy.get(name),
        }
    }

    /// The fields that JSON has, by their names there.
    pub(crate) fn json_fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let left_out = |field: &Field| {
            let never = matches!(field.value, Value::Struct(_) | Value::Time(_));
            field.omit_empty && !never && !field.value.truth()
        };
        let shown = self.fields().iter().filter(move |field| !left_out(field));
        shown.filter_map(|field| Some((field.json?, &field.value)))
    }

    pub(crate) fn find_method(&self, name: &str) -> Option<&Rc<Func>> {
        self.methods.iter().find(|(known, _)| *known == name).map(|(_, func)| func)
    }
}

/// What a function does with its arguments; an error ends the template.
type Body = dyn Fn(&[Value]) -> Result<Value, String>;

/// A function.
#[derive(Clone)]
pub struct Func {
    pub(crate) params: Vec<Type>,
    pub(crate) body: Rc<Body>,
}

impl Func {
    /// A function with arguments of these types.
    pub fn new(params: &[Type], body: impl Fn(&[Value]) -> Result<Value, String> + 'static) -> Self {
        Self { params: params.to_vec(), body: Rc::new(body) }
    }

    /// The type as Go writes it. What it returns is not known here.
    pub(crate) fn type_name(&self) -> String {
        let params: Vec<String> = self.params.iter().map(ToString::to_string).collect();
        format!("func({}) interface {{}}", params.join(", "))
    }
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.type_name())
    }
}
