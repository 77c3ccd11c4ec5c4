"""Weights and words from which synthetic citizens are drawn.

Owns data only. Shares are rough and from memory (vietnam.md, section 7): they make lists look and sort as real
ones do, they are no statistics.
"""

from dataclasses import dataclass
from typing import Final

Words = tuple[str, ...]
Weighted = dict[str, float]

# fmt: off
PROVINCES: Final[dict[str, tuple[float, str]]] = {
    "001": (9.0, "001"), "002": (0.9, "008"), "004": (0.5, "004"), "006": (0.3, "019"), "008": (0.8, "008"),
    "010": (0.8, "015"), "011": (0.6, "011"), "012": (0.5, "012"), "014": (1.3, "014"), "015": (0.8, "015"),
    "017": (0.9, "025"), "019": (1.4, "019"), "020": (0.8, "020"), "022": (1.4, "022"), "024": (1.9, "024"),
    "025": (1.5, "025"), "026": (1.2, "025"), "027": (1.5, "024"), "030": (2.0, "031"), "031": (2.1, "031"),
    "033": (1.3, "033"), "034": (1.9, "033"), "035": (0.9, "037"), "036": (1.9, "037"), "037": (1.0, "037"),
    "038": (3.8, "038"), "040": (3.5, "040"), "042": (1.3, "042"), "044": (0.9, "044"), "045": (0.7, "044"),
    "046": (1.2, "046"), "048": (1.2, "048"), "049": (1.5, "048"), "051": (1.3, "051"), "052": (1.5, "052"),
    "054": (0.9, "066"), "056": (1.3, "056"), "058": (0.6, "056"), "060": (1.3, "068"), "062": (0.6, "051"),
    "064": (1.6, "052"), "066": (2.0, "066"), "067": (0.7, "068"), "068": (1.3, "068"), "070": (1.0, "075"),
    "072": (1.2, "080"), "074": (2.6, "079"), "075": (3.2, "075"), "077": (1.2, "079"), "079": (9.3, "079"),
    "080": (1.8, "080"), "082": (1.8, "082"), "083": (1.3, "086"), "084": (1.0, "086"), "086": (1.1, "086"),
    "087": (1.6, "082"), "089": (1.9, "091"), "091": (1.8, "091"), "092": (1.3, "092"), "093": (0.7, "092"),
    "094": (1.2, "092"), "095": (0.9, "096"), "096": (1.2, "096"),
}
"""Province code: share of the population in percent, and the code of the unit it belongs to since 2025-07-01."""

COUNTRIES: Final = ("139", "174", "175", "193", "231", "232", "240", "279", "284")
FIRST_SOUTHERN_CODE: Final = "049"
"""Quảng Nam: from here southwards Huỳnh and Võ are written where the north writes Hoàng and Vũ."""

AGES: Final = {0: 15.5, 10: 14.5, 20: 14.5, 30: 17.0, 40: 14.0, 50: 11.5, 60: 8.0, 70: 3.2, 80: 1.5, 90: 0.3}
"""First year of a decade of age: share in percent."""

FAMILIES: Final[Weighted] = {
    "Nguyễn": 38, "Trần": 12, "Lê": 9.5, "Phạm": 7, "Hoàng": 5, "Phan": 4.5, "Vũ": 4, "Đặng": 2, "Bùi": 2, "Đỗ": 1.4,
    "Hồ": 1.3, "Ngô": 1.3, "Dương": 1, "Lý": 0.5, "Đinh": 0.5, "Mai": 0.5, "Trịnh": 0.5, "Đoàn": 0.5, "Lâm": 0.4,
    "Cao": 0.4, "Tạ": 0.3, "Hà": 0.3, "Trương": 0.3,
}
SOUTHERN_FAMILIES: Final = {"Hoàng": "Huỳnh", "Vũ": "Võ"}
# fmt: on


@dataclass(frozen=True, slots=True)
class NameFashion:
    """Hold the commonest middle name with its share, the other ones, and given names, of one sex and cohort."""

    middle: str
    middle_share: float
    given: Words


OTHER_MIDDLES: Final = {
    "female": ("Ngọc", "Thu", "Thanh", "Minh", "Phương", "Bích", "Kim", "Hồng", "Khánh", "Bảo", ""),
    "male": ("Đức", "Minh", "Hữu", "Quang", "Thanh", "Xuân", "Công", "Đình", "Gia", "Quốc", "Tuấn", "Anh", ""),
}
COHORTS: Final = (1970, 1996)
"""Birth years in which the second and the third fashion of given names begin."""

FASHIONS: Final = {
    "female": (
        NameFashion("Thị", 0.65, ("Lan", "Hoa", "Mai", "Hồng", "Nga", "Liên", "Sáu", "Bảy", "Hòa", "Lý")),
        NameFashion("Thị", 0.45, ("Hương", "Hằng", "Thủy", "Hà", "Trang", "Linh", "Nhung")),
        NameFashion("Thị", 0.15, ("Vy", "Ngân", "Châu", "Anh", "Nhi", "An")),
    ),
    "male": (
        NameFashion("Văn", 0.5, ("Hùng", "Dũng", "Sơn", "Tâm", "Hai", "Ba", "Tư", "Hòa")),
        NameFashion("Văn", 0.3, ("Tuấn", "Hải", "Nam", "Long", "Cường", "Thắng")),
        NameFashion("Văn", 0.1, ("Khôi", "Bảo", "Khang", "Phúc", "Huy", "Minh")),
    ),
}


@dataclass(frozen=True, slots=True)
class Minority:
    """Hold where a people lives and how its names are put together: one word from each group, in order."""

    provinces: Words
    male: tuple[Words, ...]
    female: tuple[Words, ...]


_TAY = ("Nông", "Triệu", "Hoàng")
_THAI = ("Lò", "Quàng", "Cầm")
_MUONG = ("Bùi", "Quách", "Đinh")
_CLANS = ("Niê", "Byă", "Êban", "Mlô")
_JARAI = ("Ksor", "Rơ Châm", "Siu")
_KHMER = ("Thạch", "Danh", "Sơn")
_CHAM = ("Bá", "Đàng", "Quảng")
_HOA = ("Lâm", "Trần", "Quách")

MINORITIES: Final = (
    Minority(("004", "020"), (_TAY, ("Văn",), ("Thuấn", "Hiếu", "Đạt")), (_TAY, ("Thị",), ("Hiền", "Nga", "Thoa"))),
    Minority(
        ("002", "011", "015"),
        (("Giàng", "Sùng", "Thào"), ("A",), ("Páo", "Chư", "Dế", "Lử")),
        (("Vàng", "Giàng", "Mùa"), ("Thị",), ("Mỷ", "Dợ", "Sua", "Máy")),
    ),
    Minority(("014", "011"), (_THAI, ("Văn",), ("Pâng", "Thoan", "Inh")), (_THAI, ("Thị",), ("Ón", "Hặc", "Phương"))),
    Minority(("017",), (_MUONG, ("Văn",), ("Nhởi", "Hợp", "Thiết")), (_MUONG, ("Thị",), ("Eng", "Mến", "Xuân"))),
    Minority(("066",), (("Y",), ("Bhăm", "Krang", "Thịnh"), _CLANS), (("H'",), ("Linh", "Bliăk", "Nga"), _CLANS)),
    Minority(("064",), (_JARAI, ("Thin", "Hyak", "Klơ")), (_JARAI, ("H'Yen", "H'Lan", "H'Bơr"))),
    Minority(("068",), (("K'Brếu", "K'Tèo", "K'Sung"),), (("Ka",), ("Thủy", "Đếm", "Hương"))),
    Minority(("084", "094"), (_KHMER, ("Sa Rây", "Phol", "Sóc")), (_KHMER, ("Thị",), ("Sa Vy", "Na", "Sô Phi"))),
    Minority(("058",), (_CHAM, ("Văn",), ("Nghiệp", "Trình", "Phú")), (_CHAM, ("Thị",), ("Mỹ Tiên", "Hạnh", "Ru"))),
    Minority(("079",), (_HOA, ("Chí", "Gia"), ("Cường", "Lương")), (_HOA, ("Mỹ", "Tuệ"), ("Linh", "Mẫn"))),
)

WARDS: Final = ("phường Sông Trong", "phường Đồi Thông", "xã Ruộng Bậc", "xã Bến Lúa", "xã Vườn Chè", "phường Chợ Mới")
FORMER_DISTRICTS: Final = ("huyện Suối Lớn", "huyện Đồng Xanh", "thị xã Cầu Đá")
STREETS: Final = ("đường Hoa Sen", "đường Cây Đa", "ngõ Giếng Cổ", "thôn Đầu Làng", "tổ 4")

PASSWORD_WORDS: Final = (
    ("trau", "ngua", "meo", "tho", "vit", "ong", "cua", "ech"),
    ("xanh", "vang", "nau", "tim", "hong", "trang", "den"),
    ("qua song", "an com", "leo nui", "tim hoa", "ngu trua", "ra dong"),
)
