# Of what becomes of a breach, the laxer word counts.
# file: rust/src/project/settings/policy.rs
# guard: project::settings::policy::tests::of_each_field_the_strictest_value_counts_wherever_it_stands
s/self.on_breach.as_ref(), other.on_breach.as_ref(), |one, other| \*one.max(other)/self.on_breach.as_ref(), other.on_breach.as_ref(), |one, other| *one.min(other)/
