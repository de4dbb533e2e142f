//! Who may do what: one table from role to permissions. A handler names the permission it needs, never a role.

use std::fmt;

/// What a request needs its caller to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Look at records and statistics of the own organisation.
    Read,
    /// Send events that are counted.
    RecordEvents,
    /// Start syncs.
    RunSyncs,
    /// Open the tasks of plans that are due, as a schedule does.
    OpenDueTasks,
    /// Make, change and end plans and their tasks.
    ManagePlans,
    /// Act for organisations other than the own one.
    EveryOrganisation,
}

impl Permission {
    const ALL: [Permission; 6] = [
        Permission::Read,
        Permission::RecordEvents,
        Permission::RunSyncs,
        Permission::OpenDueTasks,
        Permission::ManagePlans,
        Permission::EveryOrganisation,
    ];

    /// The roles that have it, weakest first.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| role.allows(self))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::RecordEvents => "record events",
            Self::RunSyncs => "run syncs",
            Self::OpenDueTasks => "open due tasks",
            Self::ManagePlans => "manage plans",
            Self::EveryOrganisation => "act for every organisation",
        })
    }
}

/// What a caller is. For people `viewer < operator < admin`; the others stand beside that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// A machine account: runs the scheduled calls.
    Caller,
    /// Manages plans and their tasks, nothing else.
    PlanManager,
    /// Runs and stops things.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    const ALL: [Role; 5] = [Role::Viewer, Role::Caller, Role::PlanManager, Role::Operator, Role::Admin];

    /// Reads a role as the IAM writes it: our own word, the same after `qs:`, or one of the names of the system that
    /// this replaces. Unknown ones grant nothing.
    pub fn parse(text: &str) -> Option<Role> {
        match text {
            // The capability of one organisation: it must not reach into others.
            "org_admin" => return Some(Role::Operator),
            "qs:evaluation_plan_manager" => return Some(Role::PlanManager),
            _ => {}
        }
        let word = text.strip_prefix("qs:").unwrap_or(text);
        Role::ALL.into_iter().find(|role| role.word() == word)
    }

    /// Our word for it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Caller => "caller",
            Role::PlanManager => "plan_manager",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// Whether the role has the permission.
    pub fn allows(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }

    /// The table.
    fn permissions(self) -> &'static [Permission] {
        use Permission::{ManagePlans, OpenDueTasks, Read, RecordEvents, RunSyncs};
        match self {
            Role::Viewer => &[Read],
            Role::Caller => &[Read, RecordEvents, RunSyncs, OpenDueTasks],
            Role::PlanManager => &[Read, OpenDueTasks, ManagePlans],
            Role::Operator => &[Read, RecordEvents, RunSyncs, OpenDueTasks, ManagePlans],
            Role::Admin => &Permission::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_iam_become_roles_and_unknown_ones_grant_nothing() {
        for (text, role) in [
            ("viewer", Some(Role::Viewer)),
            ("caller", Some(Role::Caller)),
            ("plan_manager", Some(Role::PlanManager)),
            ("operator", Some(Role::Operator)),
            ("admin", Some(Role::Admin)),
            ("qs:viewer", Some(Role::Viewer)),
            ("qs:caller", Some(Role::Caller)),
            ("qs:plan_manager", Some(Role::PlanManager)),
            ("qs:operator", Some(Role::Operator)),
            ("qs:admin", Some(Role::Admin)),
            ("org_admin", Some(Role::Operator)),
            ("qs:evaluation_plan_manager", Some(Role::PlanManager)),
            ("qs:org_admin", None),
            ("evaluation_plan_manager", None),
            ("qs:qs:admin", None),
            ("iam:admin", None),
            ("Admin", None),
            (" admin", None),
            ("qs:", None),
            ("", None),
        ] {
            assert_eq!(Role::parse(text), role, "{text:?}");
        }
    }

    #[test]
    fn the_table_is_the_published_one() {
        let roles = |permission: Permission| permission.roles().map(Role::word).collect::<Vec<_>>().join(" ");
        assert_eq!(roles(Permission::Read), "viewer caller plan_manager operator admin");
        assert_eq!(roles(Permission::RecordEvents), "caller operator admin");
        assert_eq!(roles(Permission::RunSyncs), "caller operator admin");
        assert_eq!(roles(Permission::OpenDueTasks), "caller plan_manager operator admin");
        assert_eq!(roles(Permission::ManagePlans), "plan_manager operator admin");
        assert_eq!(roles(Permission::EveryOrganisation), "admin");
    }

    #[test]
    fn each_step_from_viewer_to_admin_only_adds() {
        for pair in [Role::Viewer, Role::Operator, Role::Admin].windows(2) {
            for permission in Permission::ALL {
                assert!(!pair[0].allows(permission) || pair[1].allows(permission), "{pair:?} {permission}");
            }
        }
    }
}
