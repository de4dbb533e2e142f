//! The command of an entry: what the shell gets, and what its standard input gets.

/// A command as cron splits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it stands in the file.
    pub text: String,
    /// What the shell is given.
    pub shell: String,
    /// What its standard input gets, if an unescaped `%` stands in the text.
    pub input: Option<String>,
    /// The byte of that `%`.
    pub percent: Option<usize>,
}

impl Command {
    /// Splits at the first unescaped `%`; further ones are line breaks of the input. `\%` is a literal one.
    pub fn new(text: &str) -> Self {
        let (mut shell, mut escaped) = (String::with_capacity(text.len()), false);
        let mut percent = None;
        for (at, c) in text.char_indices() {
            if escaped {
                if c == '%' || c == '\\' {
                    shell.pop();
                }
                shell.push(c);
                escaped = false;
                continue;
            }
            if c == '%' {
                percent = Some(at);
                break;
            }
            escaped = c == '\\';
            shell.push(c);
        }
        let input = percent.map(|at| input(&text[at + 1..]));
        Self { text: text.to_owned(), shell, input, percent }
    }
}

/// Each `%` a line break, `\%` a percent sign, and a line break at the end.
fn input(text: &str) -> String {
    let (mut input, mut escaped) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        match (escaped, c) {
            (true, '%') => {
                input.pop();
                input.push('%');
            }
            (false, '%') => input.push('\n'),
            _ => input.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if !input.is_empty() && !input.ends_with('\n') {
        input.push('\n');
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_ends_the_command_unless_it_is_escaped() {
        for (text, shell, input) in [
            ("date +\\%F", "date +%F", None),
            ("date +%F", "date +", Some("F\n")),
            ("cat % a%b", "cat ", Some(" a\nb\n")),
            ("cat%a\\%b%", "cat", Some("a%b\n")),
            ("cat%", "cat", Some("")),
            ("a\\b", "a\\b", None),
        ] {
            let command = Command::new(text);
            assert_eq!((command.shell.as_str(), command.input.as_deref()), (shell, input), "{text}");
        }
    }
}
