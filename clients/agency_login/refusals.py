"""What a citizen reads when a sign-in or sign-out does not work.

One row per reason: a stable code, the HTTP status, and in each language what happened and what to do. Nothing from the
network is ever repeated on these pages: an `error_description` can be written by whoever sends the citizen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LANGUAGES = ("vi", "en")


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold the three sentences of one page in one language."""

    title: str
    happened: str
    act: str


class Refusal(Enum):
    """List every reason, as (code, HTTP status)."""

    ACCESS_DENIED = ("access-denied", 403)
    LOGIN_REQUIRED = ("login-required", 401)
    UNMET_LEVEL = ("unmet-level", 403)
    STALE_REQUEST = ("stale-request", 400)
    STALE_SIGNOUT = ("stale-signout", 400)
    WRONG_ISSUER = ("wrong-issuer", 400)
    TOKEN_REFUSED = ("token-refused", 502)
    CLOCK_SKEW = ("clock-skew", 502)
    OTHER_PERSON = ("other-person", 403)
    PORTAL_MISCONFIGURED = ("portal-misconfigured", 500)
    PROVIDER_ERROR = ("provider-error", 502)
    PROVIDER_UNREACHABLE = ("provider-unreachable", 503)
    SIGNOUT_INCOMPLETE = ("signout-incomplete", 503)

    @property
    def code(self) -> str:
        """Give the stable code, as shown on the page and written to the log."""
        return self.value[0]

    @property
    def status(self) -> int:
        """Give the HTTP status of the page."""
        return self.value[1]


class LoginRefused(Exception):
    """End a sign-in with a page.

    `cause` goes to the log only; it names a check or an exception class and never holds a token, a code, a name or a
    number.
    """

    def __init__(self, refusal: Refusal, cause: str) -> None:
        super().__init__(f"{refusal.code}: {cause}")
        self.refusal = refusal
        self.cause = cause


# RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core 1.0, 3.1.2.6; Unmet Authentication Requirements 1.0.
_OF_OAUTH_ERROR = {
    "access_denied": Refusal.ACCESS_DENIED,
    "login_required": Refusal.LOGIN_REQUIRED,
    "interaction_required": Refusal.LOGIN_REQUIRED,
    "consent_required": Refusal.LOGIN_REQUIRED,
    "account_selection_required": Refusal.LOGIN_REQUIRED,
    "unmet_authentication_requirements": Refusal.UNMET_LEVEL,
    "invalid_grant": Refusal.STALE_REQUEST,
    "invalid_client": Refusal.PORTAL_MISCONFIGURED,
    "invalid_request": Refusal.PORTAL_MISCONFIGURED,
    "invalid_scope": Refusal.PORTAL_MISCONFIGURED,
    "unauthorized_client": Refusal.PORTAL_MISCONFIGURED,
    "unsupported_grant_type": Refusal.PORTAL_MISCONFIGURED,
    "unsupported_response_type": Refusal.PORTAL_MISCONFIGURED,
    "server_error": Refusal.PROVIDER_ERROR,
    "temporarily_unavailable": Refusal.PROVIDER_UNREACHABLE,
}


def refuse_oauth_error(error: object, *, at: str) -> LoginRefused:
    """Turn an OAuth error code from the endpoint named `at` into a refusal; unknown codes are not repeated."""
    if isinstance(error, str) and error in _OF_OAUTH_ERROR:
        return LoginRefused(_OF_OAUTH_ERROR[error], f"{at} answered {error}")
    return LoginRefused(Refusal.PROVIDER_ERROR, f"{at} answered an unknown error")


WORDINGS: dict[Refusal, dict[str, Wording]] = {
    Refusal.ACCESS_DENIED: {
        "vi": Wording(
            "Bạn chưa đăng nhập",
            "Bạn đã hủy đăng nhập, hoặc không đồng ý chia sẻ thông tin với dịch vụ này.",
            "Nếu bạn đổi ý, hãy đăng nhập lại. Không có thông tin nào được gửi đi.",
        ),
        "en": Wording(
            "You are not signed in",
            "You cancelled the sign-in, or did not agree to share your details with this service.",
            "If you change your mind, sign in again. None of your details were sent.",
        ),
    },
    Refusal.LOGIN_REQUIRED: {
        "vi": Wording(
            "Bạn cần đăng nhập lại",
            "Phiên đăng nhập của bạn tại LienKet đã hết hạn hoặc cần bạn thao tác.",
            "Hãy bấm Đăng nhập lại và làm theo hướng dẫn.",
        ),
        "en": Wording(
            "You need to sign in again",
            "Your session at LienKet has ended, or it needs an answer from you.",
            "Select Sign in again and follow the steps.",
        ),
    },
    Refusal.UNMET_LEVEL: {
        "vi": Wording(
            "Mức độ bảo đảm chưa đủ",
            "Trang này yêu cầu mức xác thực cao hơn mức bạn vừa đăng nhập.",
            "Hãy thử lại bằng cách xác thực mạnh hơn, hoặc nâng mức tài khoản của bạn tại LienKet.",
        ),
        "en": Wording(
            "Your sign-in is not strong enough",
            "This page needs a higher level of assurance than your sign-in has reached.",
            "Try again with a stronger way to sign in, or raise the level of your account at LienKet.",
        ),
    },
    Refusal.STALE_REQUEST: {
        "vi": Wording(
            "Lần đăng nhập này không còn hiệu lực",
            "Trang này đã cũ: có thể bạn đã đăng nhập ở một thẻ khác, bấm nút quay lại, hoặc trình duyệt chặn cookie.",
            "Hãy đăng nhập lại từ đầu. Nếu vẫn lỗi, hãy cho phép cookie của trang này.",
        ),
        "en": Wording(
            "This sign-in is no longer valid",
            "This page is out of date. You may have signed in from another tab, used the back button, or your browser "
            "blocks cookies.",
            "Start the sign-in again. If it fails again, allow cookies for this site.",
        ),
    },
    Refusal.STALE_SIGNOUT: {
        "vi": Wording(
            "Không xác nhận được việc đăng xuất",
            "Câu trả lời này không thuộc về một yêu cầu đăng xuất từ trình duyệt của bạn.",
            "Hãy về trang đầu để xem bạn còn đăng nhập hay không.",
        ),
        "en": Wording(
            "We could not confirm your sign-out",
            "This answer does not belong to a sign-out that was started in your browser.",
            "Go to the start page to see whether you are still signed in.",
        ),
    },
    Refusal.WRONG_ISSUER: {
        "vi": Wording(
            "Câu trả lời không đến từ LienKet",
            "Chúng tôi không thể xác nhận nơi gửi câu trả lời đăng nhập, nên đã không nhận câu trả lời đó.",
            "Hãy đăng nhập lại từ trang đầu của dịch vụ này. Nếu lặp lại, hãy báo cho bộ phận hỗ trợ.",
        ),
        "en": Wording(
            "This answer did not come from LienKet",
            "We could not confirm who sent this sign-in answer, so we did not accept it.",
            "Sign in again from the start page of this service. If it happens again, tell the help desk.",
        ),
    },
    Refusal.TOKEN_REFUSED: {
        "vi": Wording(
            "Không xác minh được thông tin đăng nhập",
            "Thông tin đăng nhập nhận được không qua được kiểm tra an toàn, nên bạn chưa được đăng nhập.",
            "Hãy đăng nhập lại. Nếu lặp lại, hãy gửi mã tra cứu dưới đây cho bộ phận hỗ trợ.",
        ),
        "en": Wording(
            "Your sign-in could not be verified",
            "The sign-in details we received did not pass our safety checks, so you are not signed in.",
            "Sign in again. If it happens again, send the reference below to the help desk.",
        ),
    },
    Refusal.CLOCK_SKEW: {
        "vi": Wording(
            "Đồng hồ máy chủ không khớp",
            "Thông tin đăng nhập đã hết hạn hoặc chưa có hiệu lực theo đồng hồ của dịch vụ này.",
            "Hãy đợi một phút rồi đăng nhập lại. Nếu lặp lại, hãy báo cho bộ phận hỗ trợ để chỉnh đồng hồ máy chủ.",
        ),
        "en": Wording(
            "The clocks do not agree",
            "By the clock of this service, your sign-in has expired or is not valid yet.",
            "Wait a minute and sign in again. If it happens again, ask the help desk to check the server clock.",
        ),
    },
    Refusal.OTHER_PERSON: {
        "vi": Wording(
            "Bạn đã đăng nhập bằng tài khoản khác",
            "Việc xác thực bổ sung được thực hiện bằng tài khoản của một người khác, nên phiên này đã được đóng.",
            "Hãy đăng nhập lại bằng đúng tài khoản của bạn.",
        ),
        "en": Wording(
            "You signed in with another account",
            "The additional verification was done with another person's account, so this session was closed.",
            "Sign in again with your own account.",
        ),
    },
    Refusal.PORTAL_MISCONFIGURED: {
        "vi": Wording(
            "Dịch vụ này chưa được kết nối đúng",
            "LienKet không chấp nhận yêu cầu của dịch vụ này. Đây không phải lỗi của bạn.",
            "Hãy gửi mã tra cứu dưới đây cho bộ phận hỗ trợ của dịch vụ.",
        ),
        "en": Wording(
            "This service is not connected correctly",
            "LienKet did not accept the request of this service. You did nothing wrong.",
            "Send the reference below to the help desk of this service.",
        ),
    },
    Refusal.PROVIDER_ERROR: {
        "vi": Wording(
            "LienKet gặp sự cố",
            "LienKet không hoàn tất được lần đăng nhập này.",
            "Hãy thử lại sau ít phút.",
        ),
        "en": Wording(
            "LienKet has a problem",
            "LienKet could not complete this sign-in.",
            "Try again in a few minutes.",
        ),
    },
    Refusal.PROVIDER_UNREACHABLE: {
        "vi": Wording(
            "Tạm thời không đăng nhập được",
            "Dịch vụ này hiện không liên lạc được với LienKet.",
            "Hãy thử lại sau ít phút.",
        ),
        "en": Wording(
            "Sign-in is not available at the moment",
            "This service cannot reach LienKet right now.",
            "Try again in a few minutes.",
        ),
    },
    Refusal.SIGNOUT_INCOMPLETE: {
        "vi": Wording(
            "Bạn đã đăng xuất khỏi dịch vụ này, nhưng chưa đăng xuất khỏi LienKet",
            "Dịch vụ này hiện không liên lạc được với LienKet.",
            "Nếu bạn dùng thiết bị chung, hãy đóng trình duyệt.",
        ),
        "en": Wording(
            "You are signed out here, but not yet at LienKet",
            "This service cannot reach LienKet right now.",
            "If you share this device with others, close the browser.",
        ),
    },
}
