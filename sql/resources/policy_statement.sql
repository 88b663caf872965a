-- One row per distinct policy statement, whoever holds it: everything that can be decided of a statement is decided once.
--   holds, patterns, is_excluded, is_true_without_key   of its condition (resources.policy_condition)
--   is_readable        false for the stand-in of a document nobody could read (no pattern at all)
select
    statement.statement_id,
    any_value(statement.effect) as effect,
    any_value(statement.actions) as actions,
    any_value(statement.not_actions) as not_actions,
    any_value(statement.resources) as resources,
    any_value(statement.not_resources) as not_resources,
    any_value(statement.condition) as condition,
    coalesce(any_value(condition.holds), 'always') as holds,
    any_value(condition.patterns) as patterns,
    coalesce(any_value(condition.is_excluded), false) as is_excluded,
    coalesce(any_value(condition.is_true_without_key), false) as is_true_without_key,
    any_value(statement.actions) is not null or any_value(statement.not_actions) is not null as is_readable
from resources.applied_statement as statement
left join resources.policy_condition as condition on condition.condition = statement.condition
group by statement.statement_id
