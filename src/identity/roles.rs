//! Who may do what: one table from role to permissions. A handler names the permission it needs, never a role.

use crate::domain::word::words;

words! {
    /// What a request needs its caller to be allowed to do.
    pub enum Permission: "permission" {
        /// Look at records and statistics of the own organisation.
        Read = "read",
        /// Send events that are counted.
        RecordEvents = "record events",
        /// Start syncs.
        RunSyncs = "run syncs",
        /// Open the tasks of plans that are due, as a schedule does.
        OpenDueTasks = "open due tasks",
        /// Make, change and end plans and their tasks.
        ManagePlans = "manage plans",
        /// Act for organisations other than the own one.
        EveryOrganisation = "act for every organisation",
    }
}

impl Permission {
    /// The roles that have it, weakest first.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| role.allows(self))
    }
}

words! {
    /// What a caller is. For people `viewer < operator < admin`; the others stand beside that line.
    pub enum Role: "role" {
        /// Looks.
        Viewer = "viewer",
        /// A machine account: runs the scheduled calls.
        Caller = "caller",
        /// Manages plans and their tasks, nothing else.
        PlanManager = "plan_manager",
        /// Runs and stops things.
        Operator = "operator",
        /// Everything.
        Admin = "admin",
    }
}

impl Role {
    /// Reads a role as the IAM writes it: our own word, the same after `qs:`, or one of the names of the system that
    /// this replaces. Unknown ones grant nothing.
    pub fn parse(text: &str) -> Option<Role> {
        match text {
            // The capability of one organisation: it must not reach into others.
            "org_admin" => Some(Role::Operator),
            "qs:evaluation_plan_manager" => Some(Role::PlanManager),
            _ => text.strip_prefix("qs:").unwrap_or(text).parse().ok(),
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
            Role::Admin => Permission::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_iam_become_roles_and_unknown_ones_grant_nothing() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(*role));
            assert_eq!(Role::parse(&format!("qs:{role}")), Some(*role));
        }
        for (text, role) in [
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
        let roles =
            |permission: Permission| permission.roles().map(Role::as_str).collect::<Vec<_>>().join(" ");
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
                assert!(!pair[0].allows(*permission) || pair[1].allows(*permission), "{pair:?} {permission}");
            }
        }
    }
}
