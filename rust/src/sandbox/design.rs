//! The design of a project: fields, forms, arms, events.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Text,
    Notes,
    Radio,
    Dropdown,
    Checkbox,
    YesNo,
    TrueFalse,
    Calc,
    Slider,
    /// A file; its column has the file's name.
    File,
    /// Words on the form; never exported with records.
    Descriptive,
}

impl FieldType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Notes => "notes",
            Self::Radio => "radio",
            Self::Dropdown => "dropdown",
            Self::Checkbox => "checkbox",
            Self::YesNo => "yesno",
            Self::TrueFalse => "truefalse",
            Self::Calc => "calc",
            Self::Slider => "slider",
            Self::File => "file",
            Self::Descriptive => "descriptive",
        }
    }
}

/// One line of the data dictionary.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) form: String,
    pub(super) kind: FieldType,
    pub(super) label: String,
    pub(super) section: String,
    /// Codes and labels of a choice.
    pub(super) choices: Vec<(String, String)>,
    /// The equation of a calculated field.
    pub(super) equation: String,
    pub(super) note: String,
    pub(super) validation: String,
    pub(super) min: String,
    pub(super) max: String,
    pub(super) identifier: bool,
    pub(super) branching: String,
    pub(super) required: bool,
    pub(super) annotation: String,
}

impl Field {
    /// A field with a label and nothing else.
    pub(super) fn new(form: &str, name: &str, kind: FieldType, label: &str) -> Self {
        let blank = String::new;
        let mut field = Self {
            name: name.to_owned(),
            form: form.to_owned(),
            kind,
            label: label.to_owned(),
            section: blank(),
            choices: Vec::new(),
            equation: blank(),
            note: blank(),
            validation: blank(),
            min: blank(),
            max: blank(),
            identifier: false,
            branching: blank(),
            required: false,
            annotation: blank(),
        };
        match kind {
            FieldType::YesNo => field.choices = pairs(&[("1", "Yes"), ("0", "No")]),
            FieldType::TrueFalse => field.choices = pairs(&[("1", "True"), ("0", "False")]),
            _ => {}
        }
        field
    }

    pub(super) fn section(mut self, section: &str) -> Self {
        section.clone_into(&mut self.section);
        self
    }

    pub(super) fn choices(mut self, choices: &[(&str, &str)]) -> Self {
        self.choices = pairs(choices);
        self
    }

    pub(super) fn equation(mut self, equation: &str) -> Self {
        equation.clone_into(&mut self.equation);
        self
    }

    pub(super) fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    pub(super) fn validation(mut self, validation: &str, min: &str, max: &str) -> Self {
        validation.clone_into(&mut self.validation);
        min.clone_into(&mut self.min);
        max.clone_into(&mut self.max);
        self
    }

    pub(super) fn identifier(mut self) -> Self {
        self.identifier = true;
        self
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn branching(mut self, branching: &str) -> Self {
        branching.clone_into(&mut self.branching);
        self
    }

    pub(super) fn annotation(mut self, annotation: &str) -> Self {
        annotation.clone_into(&mut self.annotation);
        self
    }

    /// The label of a choice's code.
    pub(super) fn choice(&self, code: &str) -> Option<&str> {
        self.choices.iter().find(|(one, _)| one == code).map(|(_, label)| label.as_str())
    }
}

fn pairs(choices: &[(&str, &str)]) -> Vec<(String, String)> {
    choices.iter().map(|&(code, label)| (code.to_owned(), label.to_owned())).collect()
}

/// A form (REDCap also says instrument).
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) label: String,
}

/// A group of events that a record goes through.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    pub(super) number: i64,
    pub(super) name: String,
}

/// One event of one arm.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: i64,
    pub(super) arm: i64,
    pub(super) name: String,
    /// `baseline_arm_1`.
    pub(super) unique_name: String,
    /// The forms that are filled in at this event.
    pub(super) forms: Vec<String>,
}

/// Something that repeats: a form at an event, or a whole event.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub(super) event: String,
    /// `None`: the event repeats as a whole.
    pub(super) form: Option<String>,
}

/// A project's design. A classic project has no arms and one event without a name.
#[derive(Clone, Debug)]
pub(super) struct Design {
    pub(super) fields: Vec<Field>,
    pub(super) forms: Vec<Form>,
    pub(super) arms: Vec<Arm>,
    pub(super) events: Vec<Event>,
    pub(super) repeats: Vec<Repeat>,
}

/// A column of a record export.
#[derive(Clone, Debug)]
pub(super) struct Column<'a> {
    pub(super) name: String,
    pub(super) form: &'a str,
    /// The field; `None` for a form's status.
    pub(super) field: Option<&'a Field>,
    /// The code of a checkbox's column.
    pub(super) code: Option<&'a str>,
}

impl Design {
    pub(super) fn is_longitudinal(&self) -> bool {
        !self.arms.is_empty()
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(super) fn has_form(&self, name: &str) -> bool {
        self.forms.iter().any(|form| form.name == name)
    }

    pub(super) fn event(&self, unique_name: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.unique_name == unique_name)
    }

    /// The field that holds the record's name: always the first.
    pub(super) fn record_field(&self) -> &str {
        self.fields.first().map_or("record_id", |field| field.name.as_str())
    }

    /// Whether a form, or (`None`) the event as a whole, repeats at an event.
    pub(super) fn repeats(&self, event: &str, form: Option<&str>) -> bool {
        self.repeats.iter().any(|repeat| repeat.event == event && repeat.form.as_deref() == form)
    }

    /// The columns of a record export in their order: each form's fields, then its status.
    pub(super) fn columns(&self) -> Vec<Column<'_>> {
        let mut columns = Vec::new();
        for form in &self.forms {
            for field in self.fields.iter().filter(|field| field.form == form.name) {
                let column = |name, code| Column { name, form: &form.name, field: Some(field), code };
                match field.kind {
                    FieldType::Descriptive => {}
                    FieldType::Checkbox => columns.extend(
                        field.choices.iter().map(|(code, _)| column(checkbox(&field.name, code), Some(code.as_str()))),
                    ),
                    _ => columns.push(column(field.name.clone(), None)),
                }
            }
            columns.push(Column { name: format!("{}_complete", form.name), form: &form.name, field: None, code: None });
        }
        columns
    }
}

/// The name of a checkbox's column.
pub(super) fn checkbox(field: &str, code: &str) -> String {
    format!("{field}___{}", code.to_lowercase().replace('-', "_"))
}
