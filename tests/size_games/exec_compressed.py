# The program as a compressed text that runs itself.
import base64
import zlib

exec(zlib.decompress(base64.b85decode('c-oCqQES^U5PsLMIQ(R{shd!?hq65QA&fy<hTBrc7)FcFv6w6wNnzyQ?@o5&ID;`g*wWp1_uZ#EB}r01ucb23D2<PRa@T?lExKp`+8}s&^guS+bO_Sa5S&6XS<u%00^dok(d9{!2%);(x&WOFtq|KyQ9gfp{#=#C>ju{FfOik#y(pjFzS3!#uf(?awkcoekR~z&G(lODEFkH0&p%^bmt;bS8XM3kol$0AIT<kRo!vY1K6?~Ei^xk12WMiXCnzu!WB>`im88Ws(f{*M?=i%RIaoDtN(Y}{C~!#2%ME$wVs560`!OO0^wujD!II91yAhEQHeF3e@sIS&`~!UneH$+`-&vo=O|O`Iq{;Ylc3Kk2ldVyoFJmi@===h#A^lCDhO+M1+M!X5<6EsNWmKrD)T3?|@LScP%_i||&7+YN#sA!;BM<q$|2R7u>%j1=&|D1-p7LD<=Cbe6)M?826MHsQ*GoqZD&NQYE(!}aNX=997wwpa*)N#pB~Zs>h3oY=WOMf=!SKJm63+{@$N!9@md)eGu1C-~-@(yCOnt!qG}Ilplv2gkrmK&`z_iK->yFc%vv3Y$#ZH<%&XPnneg^BS7ZgM8VZffDWA;;HV&u(GNq*6dY&N`O5D6(aFK^pd;_`<s9TcsW1pWhJBSz`')))
