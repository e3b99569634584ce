"""What states and kinds are called on screen, and the tone of their badge."""

from typing import Literal

Tone = Literal["green", "blue", "yellow", "red", "secondary"]

ENDS = {"parent": "家长端", "institution": "机构端", "settlement": "结算端", "supervision": "监管端"}

_WORDS: dict[str, dict[str, tuple[str, Tone]]] = {
    "lesson": {
        "reserved": ("待付款", "secondary"),
        "scheduled": ("待上课", "blue"),
        "missed": ("未到课", "secondary"),
        "delivered": ("待确认", "yellow"),
        "confirmed": ("已确认", "green"),
        "disputed": ("有争议", "red"),
        "refunded": ("已退费", "secondary"),
        "lapsed": ("已失效", "secondary"),
    },
    "day": {"working": ("工作日", "secondary"), "rest": ("休息日", "green"), "holiday": ("节假日", "red")},
    "stage": {"preschool": ("学前", "secondary"), "primary": ("小学", "blue"), "middle": ("初中", "blue"), "high": ("高中", "blue")},
    "lookup_shown": {
        "student": ("孩子的姓名与出生年月", "yellow"),
        "guardians": ("监护人的手机号", "yellow"),
        "both": ("孩子的姓名、出生年月与监护人的手机号", "red"),
    },
    "lookup_case": {
        "dispute": ("课时争议", "blue"),
        "refund": ("退费", "blue"),
        "alert": ("预警", "yellow"),
        "complaint": ("投诉", "yellow"),
        "inspection": ("检查", "blue"),
        "court": ("司法协助", "red"),
    },
    "contract": {
        "created": ("待付款", "yellow"),
        "paid": ("履行中", "green"),
        "closed": ("已结束", "secondary"),
        "lapsed": ("已失效", "secondary"),
    },
    "payment": {"created": ("待付款", "yellow"), "paid": ("已付款", "green"), "expired": ("已过期", "secondary")},
    "class_session": {"scheduled": ("待上课", "blue"), "delivered": ("已上课", "green"), "cancelled": ("已取消", "red")},
    "session_change": {"changed": ("调课", "blue"), "cancelled": ("取消", "red"), "replaced": ("补课", "green")},
    "class": {
        "filed": ("待审批", "yellow"),
        "opened": ("招生中", "green"),
        "refused": ("未批准", "red"),
        "closed": ("已停招", "secondary"),
    },
    "instruction": {
        "drafted": ("待审核", "yellow"),
        "held": ("已暂扣", "red"),
        "cleared": ("待发送", "blue"),
        "submitted": ("银行处理中", "blue"),
        "unknown": ("待银行确认", "yellow"),
        "settled": ("已到账", "green"),
        "returned": ("已退汇", "red"),
        "rejected": ("未执行", "red"),
    },
    "receipt": {
        "late": ("逾期到账", "yellow"),
        "second": ("重复付款", "yellow"),
        "wrong_amount": ("金额不符", "yellow"),
        "unknown_payer": ("无法识别", "yellow"),
    },
    "grade": {
        "A": ("法规原文或政府网站", "green"),
        "B": ("主流或政府媒体", "green"),
        "C": ("转载", "yellow"),
        "D": ("征求意见稿", "yellow"),
        "S": ("本地监管做法", "blue"),
        "U": ("尚未核实", "red"),
    },
    "alert": {"opened": ("待处置", "red"), "acknowledged": ("处置中", "yellow"), "resolved": ("已办结", "green")},
    "level": {"yellow": ("黄色", "yellow"), "red": ("红色", "red")},
    "rule": {
        "large_transfer": ("单笔大额", "yellow"),
        "large_day": ("单日大额", "yellow"),
        "minimum_balance": ("余额低于下限", "red"),
        "uninstructed_debit": ("未经指令的支出", "red"),
        "unassigned_money": ("款项待认领", "yellow"),
        "instruction_failed": ("付款未成", "yellow"),
        "instruction_in_doubt": ("银行未答复", "yellow"),
        "break": ("对账差错", "red"),
    },
    "institution": {"approved": ("正常", "green"), "suspended": ("暂停", "yellow"), "closed": ("已关闭", "secondary")},
    "institution_kind": {
        "subject": ("学科类", "blue"),
        "arts": ("文化艺术类", "blue"),
        "sports": ("体育类", "blue"),
        "science": ("科技类", "blue"),
        "other": ("其他", "secondary"),
    },
    "application": {"applied": ("待审批", "yellow"), "approved": ("已入库", "green"), "refused": ("未批准", "red")},
    "change": {"proposed": ("待核定", "yellow"), "confirmed": ("已核定", "green"), "refused": ("已退回", "secondary")},
    "change_kind": {
        "legal_representative": ("法定代表人", "blue"),
        "address": ("注册地址", "blue"),
        "campus_address": ("校区地址", "blue"),
        "settlement_account": ("结算账户", "blue"),
    },
    "yearly_check": {"passed": ("合格", "green"), "conditional": ("基本合格", "yellow"), "failed": ("不合格", "red")},
    "account_role": {"supervised": ("监管账户", "blue"), "settlement": ("结算账户", "secondary")},
    "scan": {
        "payment_code": ("备案监管账户的付款码", "green"),
        "cashier": ("备案监管账户的银行付款页", "green"),
        "custody_account": ("备案的监管账户", "green"),
        "district_code": ("本区的全区一码", "green"),
        "own_page": ("本平台的网页", "green"),
        "settlement_account": ("这是机构自己的结算账户，学费不能交到这里", "red"),
        "personal_code": ("这是微信、支付宝等收款码，付款后不受监管保护", "red"),
        "unknown": ("没有在本区备案", "red"),
    },
    "scan_report": {"opened": ("待处理", "red"), "handled": ("已办结", "green")},
    "trial": {
        "booked": ("已预约", "blue"),
        "attended": ("已试听", "green"),
        "absent": ("未到课", "secondary"),
        "cancelled": ("已取消", "secondary"),
    },
    "listing": {"white": ("白名单", "green"), "black": ("黑名单", "red")},
    "class_mode": {"onsite": ("线下", "blue"), "online": ("线上", "blue")},
    "account": {
        "cash": ("监管账户资金", "blue"),
        "incoming": ("在途资金", "secondary"),
        "shortfall": ("缺口", "red"),
        "escrow": ("监管余额", "blue"),
        "payable": ("应付机构", "green"),
        "outgoing": ("付款中", "yellow"),
        "guarantee": ("保证金", "secondary"),
        "interest": ("利息", "secondary"),
        "suspense": ("挂账", "yellow"),
    },
    "side": {"asset": ("资产", "secondary"), "liability": ("负债", "secondary")},
    "transfer": {
        "received": ("银行收款", "blue"),
        "settled": ("银行付款", "green"),
        "returned": ("退汇", "red"),
        "taken": ("未经指令扣款", "red"),
        "payment_matched": ("缴费入账", "blue"),
        "lesson_released": ("课消划拨", "green"),
        "release_reversed": ("划拨冲正", "yellow"),
        "payout_reserved": ("结算款预留", "yellow"),
        "refund_reserved": ("退款预留", "yellow"),
        "unreserved": ("预留退回", "secondary"),
    },
    "booked_as": {
        "received": ("收款", "blue"),
        "settled": ("已付款", "green"),
        "returned": ("退汇", "red"),
        "taken": ("未经指令扣款", "red"),
        "watched": ("仅记录", "secondary"),
    },
    "purpose": {"payout": ("结算款", "blue"), "refund": ("退款", "secondary")},
    "reject_code": {
        "officer": ("监管部门驳回", "red"),
        "not_executed": ("银行未执行", "red"),
        "rejected": ("银行拒绝", "red"),
        "declined": ("银行拒绝", "red"),
        "account_closed": ("收款账户已销户", "red"),
        "insufficient_funds": ("账户余额不足", "red"),
    },
    "reconciliation": {"matched": ("平账", "green"), "broken": ("有差错", "red")},
    "break": {
        "not_at_bank": ("银行无此笔", "red"),
        "other_amount": ("金额不一致", "red"),
        "uninstructed_debit": ("未经指令的支出", "red"),
        "opening_differs": ("期初余额不符", "red"),
        "closing_differs": ("期末余额不符", "red"),
        "account_missing": ("对账单缺此账户", "red"),
    },
    "cause": {"guardian": ("家长申请", "blue"), "ruling": ("监管裁决", "yellow")},
    "dispute": {"opened": ("待裁决", "red"), "ruled": ("已裁决", "green")},
    "ruling": {"release": ("划拨给机构", "blue"), "return": ("退还家长", "yellow")},
    "clearance": {
        "cleared": ("规则放行", "green"),
        "held": ("规则暂扣", "red"),
        "released": ("人工放行", "green"),
        "rejected": ("人工驳回", "red"),
    },
}


def word(value: str, subject: str) -> str:
    """What people call a state: `word("held", "instruction")` is 已暂扣. An unknown one shows as it is."""
    return _WORDS[subject].get(value, (value, "secondary"))[0]


def tone(value: str, subject: str) -> Tone:
    """The colour of its badge."""
    return _WORDS[subject].get(value, (value, "secondary"))[1]
