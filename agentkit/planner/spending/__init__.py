"""Rate limits and budgets, enforced before the call and shared across processes."""

from agentkit.planner.spending.limit import Kind, Limit, Per
from agentkit.planner.spending.money import MoneyFrom
from agentkit.planner.spending.spending import Spending, ToolSpending
from agentkit.planner.spending.store import SpendingStore, StoreFailed

__all__ = [
    "Kind",
    "Limit",
    "MoneyFrom",
    "Per",
    "Spending",
    "SpendingStore",
    "StoreFailed",
    "ToolSpending",
]
