"""Invented people and schools. None of them exists; the phones are out of one block that the sample keeps to."""

import random
from dataclasses import dataclass

_SURNAMES = tuple(
    "王李张刘陈杨黄赵周吴徐孙马朱胡林何高罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶"
    "蒋杜苏魏程吕丁沈任姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷"
)
_GIVEN = (
    *("子涵", "雨桐", "浩然", "欣怡", "梓轩", "诗涵", "宇航", "思源", "可馨", "俊熙", "若曦", "明哲", "佳怡", "一诺", "皓轩", "语嫣"),
    *("天佑", "芷若", "奕辰", "沐阳", "晨曦", "安然", "嘉懿", "景行", "知夏", "星河", "念慈", "书瑶", "承泽", "清和", "乐天", "润泽"),
)
_TITLES = ("女士", "先生")
_SCHOOLS = (
    *("晨星", "启航", "青禾", "墨香", "乐动", "知行", "小树", "朝阳", "云帆", "百川", "卓雅", "星海", "蓝天", "童画", "博闻"),
    *("向日葵", "七彩", "金色年华", "新苗", "远山", "飞鸟", "白鹭", "翠竹", "紫藤", "银杏", "红枫", "海棠", "丁香", "麦田", "灯塔"),
)


@dataclass(frozen=True, slots=True)
class Trade:
    """A kind of institution: what it calls itself and what it teaches. None teaches school subjects, which have no lessons on days off."""

    kind: str
    title: str
    courses: tuple[tuple[str, str], ...]
    """Name and subject."""


TRADES = (
    Trade("arts", "艺术培训学校", (("创意美术", "美术"), ("少儿书法", "书法"), ("中国舞", "舞蹈"), ("钢琴启蒙", "音乐"))),
    Trade("sports", "体育俱乐部", (("少儿篮球", "篮球"), ("羽毛球", "羽毛球"), ("跆拳道", "跆拳道"), ("轮滑", "轮滑"))),
    Trade("science", "科技培训中心", (("机器人编程", "编程"), ("科学实验", "科学"), ("航模制作", "航模"), ("无人机", "航空"))),
    Trade("other", "素质教育培训学校", (("少儿口才", "口才"), ("围棋", "棋类"), ("国际象棋", "棋类"), ("研学实践", "综合"))),
)


def dice(*key: object) -> random.Random:
    """Chance that falls the same way for the same key, whenever and in whatever order it is asked."""
    return random.Random(":".join(map(str, key)))  # noqa: S311  # a story, no secret


def phone(number: int) -> str:
    """The sample phone of a family's number, from 1 to 99,999,999."""
    return f"199{number:08d}"


def parent_name(chance: random.Random) -> str:
    """How a bank shows who paid."""
    return chance.choice(_SURNAMES) + chance.choice(_TITLES)


def person_name(chance: random.Random) -> str:
    """A child's or a teacher's name."""
    return chance.choice(_SURNAMES) + chance.choice(_GIVEN)


def school_name(number: int, place: str, trade: Trade) -> str:
    """An institution's name; numbers from 0 have names of their own."""
    round_no, position = divmod(number, len(_SCHOOLS))
    return f"{place}{_SCHOOLS[position]}{trade.title}{f'{round_no + 1}校区' if round_no else ''}"
