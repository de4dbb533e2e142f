//! The file as it will be on this host, checked by every rule of `crontab check`.

use super::error::DeployError;
use super::host::{Host, User};
use super::machine::{self, Machine};
use crate::clock::{self, Clock};
use crate::config::unknown_variable;
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint::{Facts, lint};
use crate::crontab::problem::{self, Problem};

/// A crontab and what is wrong with it here.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The crontab.
    pub crontab: Crontab,
    /// Every problem, by line.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// The first error.
    pub fn first_error(&self) -> Option<&Problem> {
        problem::errors(&self.problems).next()
    }
}

/// Checks a file that will have this name. `brings_binary`: the program of its calls is installed with it.
pub fn check(
    host: &Host,
    users: &[User],
    name: &str,
    source: &[u8],
    brings_binary: bool,
    clock: &dyn Clock,
) -> Result<Checked, DeployError> {
    let format = Format::system(clock::local_zone());
    let others = machine::owners(&machine::other_crontabs(host, name), &format)?;
    let crontab = Crontab::parse(source, format);
    let machine = Machine { host, users, brings_binary };
    let facts = Facts {
        name: Some(name),
        host: Some(&machine),
        unknown_variable: Some(unknown_variable),
        others: &others,
        from: clock.now(),
        ..Facts::default()
    };
    let problems = lint(&crontab, &facts);
    Ok(Checked { crontab, problems })
}
