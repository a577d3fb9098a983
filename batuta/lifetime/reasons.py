"""Why there is no predicted value, in both languages."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FEWEST: Final = 200
"""With fewer customers who came back the models say more about chance than about customers."""

TOO_FEW: Final = f"fewer than {FEWEST} customers came back"
TOO_FEW_VALUES: Final = f"fewer than {FEWEST} customers came back and spent something"
NO_RATE: Final = "no model of how often customers buy fits"
NO_VALUE: Final = "no model of what customers spend fits"

IN_PORTUGUESE: Final[Mapping[str, str]] = MappingProxyType(
    {
        TOO_FEW: f"menos de {FEWEST} clientes voltaram",
        TOO_FEW_VALUES: f"menos de {FEWEST} clientes voltaram e gastaram algo",
        NO_RATE: "nenhum modelo de frequência de compra se ajusta",
        NO_VALUE: "nenhum modelo de valor de compra se ajusta",
    }
)
