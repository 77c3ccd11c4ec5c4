"""The fixed people of the demo and of the journeys in the tests.

Owns data only. Each note says what the person is for; passwords are phrases that are easy to type. Newcomers are known
to the register and have no account yet. Members have an account at the identity provider that the demo federates.
"""

# ruff: noqa: S106  these passwords are printed by the demo and open nothing but it

import base64
import hashlib
from typing import Final

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import VN_PIN, Gender
from idp.citizens.registry.table import Person
from idp.sandbox.persona import Persona, Standing


def _totp_secret(key: str) -> str:
    return base64.b32encode(hashlib.sha256(f"demo person {key}".encode()).digest()[:20]).decode("ascii")


# Every standard claim of OpenID Connect Core 1.0, 5.1, beside those the citizen document names itself and
# sub and updated_at, which are the provider's.
_EVERY_OTHER_CLAIM: Final[dict[str, object]] = {
    "family_name": "Trần",
    "middle_name": "Thị Thu",
    "given_name": "Hà",
    "nickname": "Hà Trần",
    "preferred_username": "tranthithuha",
    "profile": "https://thu.example/tranthithuha",
    "picture": "https://thu.example/tranthithuha/anh.png",
    "website": "https://tranthithuha.example/",
    "email_verified": True,
    "phone_number_verified": True,
    "zoneinfo": "Asia/Ho_Chi_Minh",
    "locale": "vi-VN",
    "address": {
        "formatted": "số 12 đường Hoa Sen, phường Sông Trong, Hồ Chí Minh 70000, Việt Nam",
        "street_address": "số 12 đường Hoa Sen",
        "locality": "phường Sông Trong",
        "region": "Hồ Chí Minh",
        "postal_code": "70000",
        "country": "VN",
    },
}

DEMO_PEOPLE: Final = (
    Persona(
        key="ordinary",
        note="the usual case: level 2 with an authenticator app",
        number="901085000101",
        full_name="Nguyễn Văn Bình",
        birthdate=BirthDate(1985, 3, 12),
        gender=Gender.MALE,
        password="sen trang ao lang",
        level="loa2",
        email="nguyenvanbinh@thu.example",
        phone_number="+84300000101",
        totp_secret=_totp_secret("ordinary"),
    ),
    Persona(
        key="complete",
        note="carries every standard claim of OpenID Connect",
        number="979190000102",
        full_name="Trần Thị Thu Hà",
        birthdate=BirthDate(1990, 9, 2),
        gender=Gender.FEMALE,
        password="mua thu song nuoc",
        level="loa2",
        email="tranthithuha@thu.example",
        phone_number="+84300000102",
        totp_secret=_totp_secret("complete"),
        claims=_EVERY_OTHER_CLAIM,
    ),
    Persona(
        key="password-only",
        note="level 1: password and nothing else",
        number="948083000103",
        full_name="Vũ Hoàng Nam",
        birthdate=BirthDate(1983, 11, 30),
        gender=Gender.MALE,
        password="gio bien thoi nhe",
        level="loa1",
        email="vuhoangnam@thu.example",
    ),
    Persona(
        key="high",
        note="proven to level 3",
        number="946078000104",
        full_name="Lê Quang Huy",
        birthdate=BirthDate(1978, 1, 6),
        gender=Gender.MALE,
        password="cau cu qua dong song",
        level="loa3",
        email="lequanghuy@thu.example",
        phone_number="+84400000104",
        totp_secret=_totp_secret("high"),
    ),
    Persona(
        key="mono-name",
        note="Cơ Ho: one word is the whole name",
        number="968092000105",
        full_name="K'Brếu",
        birthdate=BirthDate(1992, 5, 20),
        gender=Gender.MALE,
        password="thong gia tren doi",
        level="loa2",
        phone_number="+84600000105",
        totp_secret=_totp_secret("mono-name"),
    ),
    Persona(
        key="year-only",
        note="only the year of birth is known; no e-mail, no phone",
        number="938142000106",
        full_name="Phạm Thị Sáu",
        birthdate=BirthDate(1942),
        gender=Gender.FEMALE,
        password="ba ngoai nau che",
        level="loa2",
        totp_secret=_totp_secret("year-only"),
    ),
    Persona(
        key="minority-name",
        note="Ê Đê: an apostrophe after the first word, the clan last",
        number="966198000107",
        full_name="H' Linh Byă",
        birthdate=BirthDate(1998, 7, 15),
        gender=Gender.FEMALE,
        password="nha dai tieng chieng",
        level="loa2",
        email="hlinhbya@thu.example",
        phone_number="+84600000107",
        totp_secret=_totp_secret("minority-name"),
    ),
    Persona(
        key="abroad",
        note="birth registered in France: a country code in the number",
        number="540301000108",
        full_name="Đỗ Khánh Vy",
        birthdate=BirthDate(2001, 12, 24),
        gender=Gender.FEMALE,
        password="tuyet roi ngoai phim",
        level="loa2",
        email="dokhanhvy@thu.example",
        totp_secret=_totp_secret("abroad"),
    ),
    Persona(
        key="no-second-factor",
        note="seen at a counter for level 2, but has no second factor yet",
        number="992195000109",
        full_name="Đặng Ngọc Anh",
        birthdate=BirthDate(1995, 4, 4),
        gender=Gender.FEMALE,
        password="cho noi sang som",
        level="loa2",
        email="dangngocanh@thu.example",
        phone_number="+84400000109",
    ),
    Persona(
        key="deceased",
        note="the register says deceased",
        number="934038000110",
        full_name="Bùi Văn Tư",
        birthdate=BirthDate(1938, 10, 1),
        gender=Gender.MALE,
        password="lua chin ngoai dong",
        level="loa2",
        totp_secret=_totp_secret("deceased"),
        standing=Standing.DECEASED,
    ),
    Persona(
        key="replaced-number",
        note="the register replaced the number: an entry error in the year, 1968 for 1969",
        number="927168000111",
        full_name="Hoàng Thị Lý",
        birthdate=BirthDate(1969, 2, 17),
        gender=Gender.FEMALE,
        password="quan ho hoi lang",
        level="loa2",
        phone_number="+84300000111",
        totp_secret=_totp_secret("replaced-number"),
        standing=Standing.REPLACED,
        replaced_by="927169000111",
    ),
    Persona(
        key="locked",
        note="the register locked the identity",
        number="980073000112",
        full_name="Huỳnh Quốc Tuấn",
        birthdate=BirthDate(1973, 8, 8),
        gender=Gender.MALE,
        password="ghe xuong ben song",
        level="loa2",
        phone_number="+84300000112",
        totp_secret=_totp_secret("locked"),
        standing=Standing.LOCKED,
    ),
)

DEMO_NEWCOMERS: Final = (
    Person(VN_PIN, "979094000121", "Lê Minh Khôi", BirthDate(1994, 6, 18), Gender.MALE),
    # Cơ Ho: one word is the whole name. Nobody wrote down the day.
    Person(VN_PIN, "968151000122", "K'Lài", BirthDate(1951), Gender.FEMALE),
    # Has an account elsewhere.
    Person(VN_PIN, "979188000123", "Vũ Thị Hạnh", BirthDate(1988, 9, 5), Gender.FEMALE),
)

DEMO_MEMBERS: Final = (
    Persona(
        key="elsewhere",
        note="has no account here: it is made on the way",
        number="979188000123",
        full_name="Vũ Thị Hạnh",
        birthdate=BirthDate(1988, 9, 5),
        gender=Gender.FEMALE,
        password="thu ve dau ngo",
        level="loa2",
        email="vuthihanh@thu.example",
        phone_number="+84600000123",
        totp_secret=_totp_secret("elsewhere"),
    ),
    *DEMO_PEOPLE[:2],
)
